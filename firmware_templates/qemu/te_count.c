/* Counts what a firmware does, address by address: a plugin of QEMU's translator.
 *
 *   -plugin te_count.so,out=FILE,mark=0x400,mark=0x42a
 *
 * Each time that an instruction at a mark is about to run, what was counted since the last mark is
 * appended to FILE: three words (the mark that began it, the mark that ends it, how many rows follow)
 * and rows of four words (address, executions, branches taken from it, accesses to memory), all of 32
 * bits, in this machine's byte order. Instructions before the first mark are not written.
 *
 * Version 1 of the plugins' interface is declared here by hand, as QEMU's packages bring no header. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*te_translated)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*te_executed)(unsigned int vcpu, void *userdata);
enum te_callback_registers { CALLBACK_NO_REGISTERS };
enum te_memory_access { MEMORY_READ_OR_WRITE = 3 };
enum te_inline_operation { INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, te_translated callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, te_executed callback,
                                          enum te_callback_registers registers, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, te_executed callback,
                                            enum te_callback_registers registers, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
                                                enum te_inline_operation operation, void *counter,
                                                uint64_t addend);
void qemu_plugin_register_vcpu_mem_inline(struct qemu_plugin_insn *insn,
                                          enum te_memory_access access,
                                          enum te_inline_operation operation, void *counter,
                                          uint64_t addend);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

extern int qemu_plugin_version;
int qemu_plugin_version = 1;

#define MARKS 1024
#define BUCKETS 4096

typedef struct te_place {
    uint64_t executed, taken, accessed; /* since the start */
    uint64_t executed_before, taken_before, accessed_before; /* at the last mark */
    uint32_t address, size;
    struct te_place *next_in_bucket, *next;
} te_place;

static te_place *buckets[BUCKETS], *first_place;
static te_place *last; /* the last instruction of the block that has just run to its end */
static uint32_t marks[MARKS];
static size_t mark_count;
static te_place *opened; /* the mark that began what is being counted */
static FILE *out;

static te_place *place_of(const struct qemu_plugin_insn *insn)
{
    const uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);
    te_place **bucket = &buckets[address / 2 % BUCKETS];
    for (te_place *place = *bucket; place; place = place->next_in_bucket) {
        if (place->address == address) {
            return place;
        }
    }
    te_place *place = calloc(1, sizeof *place);
    if (!place) {
        abort();
    }
    place->address = address;
    place->size = (uint32_t)qemu_plugin_insn_size(insn);
    place->next_in_bucket = *bucket;
    place->next = first_place;
    *bucket = first_place = place;
    return place;
}

static void put(uint64_t word)
{
    const uint32_t value = (uint32_t)word;
    if (fwrite(&value, sizeof value, 1, out) != 1) {
        abort();
    }
}

/* Ends what is being counted at a mark, and begins anew. */
static void reach_mark(unsigned int vcpu, void *userdata)
{
    (void)vcpu;
    te_place *mark = userdata;
    uint32_t rows = 0;
    for (const te_place *place = first_place; place; place = place->next) {
        rows += place->executed != place->executed_before;
    }
    if (opened) {
        put(opened->address);
        put(mark->address);
        put(rows);
    }
    for (te_place *place = first_place; place; place = place->next) {
        if (opened && place->executed != place->executed_before) {
            put(place->address);
            put(place->executed - place->executed_before);
            put(place->taken - place->taken_before);
            put(place->accessed - place->accessed_before);
        }
        place->executed_before = place->executed;
        place->taken_before = place->taken;
        place->accessed_before = place->accessed;
    }
    opened = mark;
    if (fflush(out)) {
        abort();
    }
}

/* A block begins that is not what lies behind the last one: its end was a branch that was taken. */
static void begin_block(unsigned int vcpu, void *userdata)
{
    (void)vcpu;
    const te_place *first = userdata;
    if (last && last->address + last->size != first->address) {
        last->taken++;
    }
    last = NULL;
}

static void end_block(unsigned int vcpu, void *userdata)
{
    (void)vcpu;
    last = userdata;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        te_place *place = place_of(insn);
        if (i == 0) {
            qemu_plugin_register_vcpu_tb_exec_cb(tb, begin_block, CALLBACK_NO_REGISTERS, place);
        }
        for (size_t mark = 0; mark < mark_count; mark++) {
            if (marks[mark] == place->address) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, reach_mark, CALLBACK_NO_REGISTERS,
                                                       place);
            }
        }
        if (i + 1 == count) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, end_block, CALLBACK_NO_REGISTERS, place);
        }
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &place->executed, 1);
        qemu_plugin_register_vcpu_mem_inline(insn, MEMORY_READ_OR_WRITE, INLINE_ADD_U64,
                                             &place->accessed, 1);
    }
}

/* The symbol that QEMU calls; `info` describes the machine. */
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "wb");
        } else if (strncmp(argv[i], "mark=", 5) == 0 && mark_count < MARKS) {
            marks[mark_count++] = (uint32_t)strtoul(argv[i] + 5, NULL, 0);
        } else {
            fprintf(stderr, "te_count: %s is no argument, or one too many\n", argv[i]);
            return 1;
        }
    }
    if (!out) {
        fprintf(stderr, "te_count: out=FILE cannot be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
