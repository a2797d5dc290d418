/* The server that MLPerf Tiny's runner talks to, in place of te_server.c: commands in text, each ended
 * by '%', each answered by lines of which the last is "m-ready" (docs/mlperf.md). */
#include "firmware_id.h"
#include "mlperf.h"
#include "model.h"
#include "te_memory.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_server.h"

#define PROFILE "ULPMark for tinyML Firmware V0.0.1" /* what the runner expects to hear */
#define TERMINATOR '%'
#define COMMAND_SIZE 80u
#define BYTES_PER_LINE 8u

static char command[COMMAND_SIZE + 1u];
static char *rest; /* of the command, behind the words that were taken */
/* What was loaded: the model's int8 input, which the arena does not keep, or floats. */
static uint8_t input[TINYEDGE_MODEL_INPUT_SIZE * (TE_MLPERF_FLOATS ? sizeof(float) : 1u)];
static uint32_t expected; /* bytes that 'db load' announced */
static uint32_t loaded;
static uint8_t has_run;

static void put(const char *text)
{
    uint32_t count = 0;
    while (text[count]) {
        count++;
    }
    te_platform_write((const uint8_t *)text, count);
}

static void put_character(char character)
{
    const uint8_t byte = (uint8_t)character;
    te_platform_write(&byte, 1);
}

static void put_number(uint64_t value)
{
    char digits[21];
    uint32_t at = sizeof digits - 1u;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value > 0);
    put(digits + at);
}

static void put_thousandths(int32_t value)
{
    const uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    if (value < 0) {
        put_character('-');
    }
    put_number(magnitude / 1000u);
    put_character('.');
    for (uint32_t unit = 100; unit > 0; unit /= 10u) {
        put_character((char)('0' + magnitude / unit % 10u));
    }
}

static void put_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    put_character(digits[byte >> 4]);
    put_character(digits[byte & 15u]);
}

/* A line with one number in it. */
static void put_line(const char *before, uint64_t value, const char *after)
{
    put(before);
    put_number(value);
    put(after);
    put("\r\n");
}

static void put_error(const char *message)
{
    put("e-[");
    put(message);
    put("]\r\n");
}

/* The next word of the command, "" at its end. */
static char *take_word(void)
{
    while (*rest == ' ') {
        rest++;
    }
    char *word = rest;
    while (*rest && *rest != ' ') {
        rest++;
    }
    if (*rest) {
        *rest++ = 0;
    }
    return word;
}

static int is(const char *word, const char *other)
{
    while (*word && *word == *other) {
        word++;
        other++;
    }
    return *word == *other;
}

/* A decimal number below 2^31; false for anything else. */
static int parse_number(const char *word, uint32_t *value)
{
    *value = 0;
    if (!*word) {
        return 0;
    }
    for (; *word; word++) {
        if (*word < '0' || *word > '9' || *value > ((uint32_t)INT32_MAX - 9u) / 10u) {
            return 0;
        }
        *value = 10u * *value + (uint32_t)(*word - '0');
    }
    return 1;
}

/* 0 to 15, or 16 for what is no digit. */
static uint32_t hex_digit(char character)
{
    if (character >= '0' && character <= '9') {
        return (uint32_t)(character - '0');
    }
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? (uint32_t)(lower - 'a') + 10u : 16u;
}

/* What the host sent, which may be any byte. */
static void put_printable(char character)
{
    put_character(character >= ' ' && character <= '~' ? character : '?');
}

static void put_timestamp(void)
{
    const uint64_t ticks = te_platform_ticks();
    const uint32_t hz = te_platform_tick_hz();
    put_line("m-lap-us-", ticks / hz * 1000000u + ticks % hz * 1000000u / hz, "");
}

#if TE_MLPERF_FLOATS
static double float_input(uint32_t i)
{
    float real;
    memcpy(&real, input + i * sizeof real, sizeof real);
    return (double)real;
}

/* Halves go away from zero; what is no number becomes the least one. */
static int8_t quantize(double real)
{
    double steps = real / (double)(float)TINYEDGE_MODEL_INPUT_SCALE;
    steps = steps >= -256.0 ? steps : -256.0;
    steps = steps <= 256.0 ? steps : 256.0;
    const int32_t whole = (int32_t)(steps + (steps < 0.0 ? -0.5 : 0.5));
    const int32_t value = whole + TINYEDGE_MODEL_INPUT_ZERO_POINT;
    return (int8_t)(value > INT8_MAX ? INT8_MAX : value < INT8_MIN ? INT8_MIN : value);
}
#endif

/* The loaded input as the model takes it. */
static const void *model_input(void)
{
#if TE_MLPERF_FLOATS
    static int8_t quantized[TINYEDGE_MODEL_INPUT_SIZE];
    for (uint32_t i = 0; i < TINYEDGE_MODEL_INPUT_SIZE; i++) {
        quantized[i] = quantize(float_input(i));
    }
    return quantized;
#else
    return input;
#endif
}

#if TE_MLPERF_RESULT == TE_MLPERF_ERROR
static void put_scores(const int8_t *output)
{
    const double scale = (double)(float)TINYEDGE_MODEL_OUTPUT_SCALE;
    double sum = 0.0;
    for (uint32_t i = 0; i < TINYEDGE_MODEL_OUTPUT_SIZE; i++) {
        const double real = scale * (output[i] - TINYEDGE_MODEL_OUTPUT_ZERO_POINT);
        sum += (real - float_input(i)) * (real - float_input(i));
    }
    const double thousandths = 1000.0 * sum / TINYEDGE_MODEL_OUTPUT_SIZE + 0.5;
    put_thousandths(thousandths < (double)INT32_MAX ? (int32_t)thousandths : INT32_MAX);
}
#else
static void put_scores(const int8_t *output)
{
    static const int32_t scores[256] = TE_MLPERF_SCORES;
    int32_t largest = INT8_MIN;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < TINYEDGE_MODEL_OUTPUT_SIZE; i++) {
        largest = output[i] > largest ? output[i] : largest;
    }
    for (uint32_t i = 0; i < TINYEDGE_MODEL_OUTPUT_SIZE; i++) {
        sum += (uint32_t)scores[largest - output[i]];
    }
    for (uint32_t i = 0; i < TINYEDGE_MODEL_OUTPUT_SIZE; i++) {
        if (i > 0) {
            put_character(',');
        }
        if (TE_MLPERF_RESULT == TE_MLPERF_SOFTMAX) {
            const uint64_t share = (uint64_t)(uint32_t)scores[largest - output[i]] * 2000u;
            put_thousandths((int32_t)((share + sum) / (2u * sum)));
        } else {
            put_thousandths(scores[output[i] - INT8_MIN]);
        }
    }
}
#endif

static void put_results(void)
{
    if (!has_run) {
        put_error("No inference has run");
        return;
    }
    put("m-results-[");
    put_scores(tinyedge_model_output());
    put("]\r\n");
}

/* An inference overwrites its input, so every one of them begins with it. */
static void run(const void *content, uint32_t count)
{
    for (; count > 0; count--) {
        memcpy(tinyedge_model_input(), content, TINYEDGE_MODEL_INPUT_SIZE);
#ifdef TINYEDGE_MODEL_STATE_SIZE
        tinyedge_model_reset(); /* samples are by themselves */
#endif
        tinyedge_model_invoke();
    }
}

static void infer(void)
{
    uint32_t iterations = 1, warmups = 10;
    const char *word = take_word();
    if (*word && (!parse_number(word, &iterations) || iterations == 0)) {
        put_error("Inference iterations must be >0");
        return;
    }
    word = take_word();
    if (*word && !parse_number(word, &warmups)) {
        put_error("Inference warmup must be >=0");
        return;
    }
    if (loaded != sizeof input) {
        put("e-[Input has ");
        put_number(loaded);
        put_line(" bytes, expected ", sizeof input, "]");
        return;
    }
    if (!tinyedge_model_input()) {
        put_error("The model cannot be set up: its arena is too small");
        return;
    }
    const void *content = model_input();
    put_line("m-warmup-start-", warmups, "");
    run(content, warmups);
    put("m-warmup-done\r\n");
    put_line("m-infer-start-", iterations, "");
    put_timestamp();
    run(content, iterations);
    put_timestamp();
    put("m-infer-done\r\n");
    has_run = 1;
    put_results();
}

static void start_loading(void)
{
    const char *word = take_word();
    uint32_t count;
    expected = loaded = 0;
    if (!*word) {
        put_error("Command 'db load' requires the # of bytes");
    } else if (!parse_number(word, &count) || count == 0) {
        put_error("Command 'db load' must be >0 bytes");
    } else if (count > sizeof input) {
        put("e-[Supplied buffer size ");
        put_number(count);
        put_line(" exceeds maximum of ", sizeof input, "]");
    } else {
        expected = count;
        put_line("m-[Expecting ", expected, " bytes]");
    }
}

/* Takes all bytes of a command, or none. */
static void load(const char *digits)
{
    uint32_t count = 0;
    for (; digits[count]; count++) {
        if (hex_digit(digits[count]) > 15u) {
            put("e-[Invalid hex digit '");
            put_printable(digits[count]);
            put("']\r\n");
            return;
        }
    }
    if (count % 2u != 0) {
        put_error("Insufficent number of hex digits"); /* sic: the reference's words */
        return;
    }
    if (count / 2u > expected - loaded) {
        put("e-[Too many bytes: ");
        put_number(count / 2u);
        put_line(", still expecting ", expected - loaded, "]");
        return;
    }
    for (uint32_t i = 0; i < count; i += 2u) {
        const uint32_t byte = hex_digit(digits[i]) << 4 | hex_digit(digits[i + 1u]);
        input[loaded++] = (uint8_t)(byte ^ TE_MLPERF_INPUT_FLIP);
    }
    if (loaded == expected) {
        put("m-load-done\r\n");
    }
}

static void print_loaded(void)
{
    for (uint32_t i = 0; i < loaded; i++) {
        put(i % BYTES_PER_LINE == 0 ? "m-buffer-" : "-");
        put_hex((uint8_t)(input[i] ^ TE_MLPERF_INPUT_FLIP));
        if (i % BYTES_PER_LINE == BYTES_PER_LINE - 1u || i == loaded - 1u) {
            put("\r\n");
        }
    }
}

static void use_buffer(void)
{
    const char *word = take_word();
    if (!*word) {
        put_error("Command 'db' requires a subcommand");
    } else if (is(word, "load")) {
        start_loading();
    } else if (is(word, "print")) {
        print_loaded();
    } else {
        load(word);
    }
}

static void put_help(void)
{
    put(PROFILE "\r\n\r\n"
                "help          : this text\r\n"
                "name          : the board\r\n"
                "profile       : the command set and the model\r\n"
                "timestamp     : microseconds since the start\r\n"
                "db load N     : N bytes of input will follow\r\n"
                "db HH[HH]*    : more of these bytes, in hex\r\n"
                "db print      : the bytes loaded so far\r\n"
                "infer [N [W]] : N inferences (1) after W others (10), the results\r\n"
                "results       : the results again\r\n");
}

static void answer(void)
{
    rest = command;
    const char *word = take_word();
    if (is(word, "name")) {
        put("m-name-dut-[" TINYEDGE_BOARD_NAME "]\r\n");
    } else if (is(word, "profile")) {
        put("m-profile-[" PROFILE "]\r\nm-model-[" TE_MLPERF_MODEL "]\r\n");
    } else if (is(word, "timestamp")) {
        put_timestamp();
    } else if (is(word, "db")) {
        use_buffer();
    } else if (is(word, "infer")) {
        infer();
    } else if (is(word, "results")) {
        put_results();
    } else if (is(word, "help")) {
        put_help();
    } else if (*word) { /* a lone '%' clears the line */
        put("e-[Unknown command: ");
        for (; *word; word++) {
            put_printable(*word);
        }
        put("]\r\n");
    }
}

static void put_word(const char *name, uint32_t value)
{
    put(name);
    for (uint32_t shift = 32; shift > 0; shift -= 8u) {
        put_hex((uint8_t)(value >> (shift - 8u)));
    }
}

void te_server_fault(const te_fault *fault)
{
    te_receive_reset();
    for (;;) {
        put_word("\r\ne-[Exception 0x", fault->exception);
        put_word(" at 0x", fault->pc);
        put_word(", CFSR 0x", fault->cfsr);
        put_word(", HFSR 0x", fault->hfsr);
        put_word(", MMFAR 0x", fault->mmfar);
        put_word(", BFAR 0x", fault->bfar);
        put(fault->stack_overflowed ? ", stack overflow]\r\n" : "]\r\n");
        put("m-ready\r\n");
        while (te_receive_byte() != TERMINATOR) {
        }
    }
}

void te_server_run(void)
{
    uint32_t length = 0; /* COMMAND_SIZE + 1 for all that are longer */
    put("m-timestamp-mode-performance\r\n");
    put_timestamp();
    put("m-init-done\r\nm-ready\r\n");
    for (;;) {
        const char character = (char)te_receive_byte();
        if (character == TERMINATOR) {
            if (length > COMMAND_SIZE) {
                put_error("Command too long");
            } else {
                command[length] = 0;
                answer();
            }
            put("m-ready\r\n");
            length = 0;
        } else if (character && character != '\r' && character != '\n') { /* as terminals send */
            if (length < COMMAND_SIZE) {
                command[length] = character;
            }
            length += length <= COMMAND_SIZE;
        }
    }
}
