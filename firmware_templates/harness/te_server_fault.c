/* What is left of the link after a fault: one message, whatever the host asks. */
#include "firmware_id.h"
#include "te_frame.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_server.h"

/* Answers no request; payload: a te_fault and the firmware's hash. */
#define MESSAGE_FAULT 0xfdu

static void send_fault(const te_fault *fault)
{
    static const uint8_t delimiter = 0;
    static const uint8_t firmware_hash[32] = TINYEDGE_FIRMWARE_HASH;
    static const te_frame_header header = {MESSAGE_FAULT, 0, 0, 10u * 4u + 32u};
    te_platform_write(&delimiter, 1); /* a frame may have been cut off */
    te_frame_begin(&header);
    te_frame_put_u32(fault->exception);
    te_frame_put_u32(fault->pc);
    te_frame_put_u32(fault->lr);
    te_frame_put_u32(fault->xpsr);
    te_frame_put_u32(fault->sp);
    te_frame_put_u32(fault->cfsr);
    te_frame_put_u32(fault->hfsr);
    te_frame_put_u32(fault->mmfar);
    te_frame_put_u32(fault->bfar);
    te_frame_put_u32(fault->stack_overflowed);
    te_frame_put(firmware_hash, 32);
    te_frame_end();
}

/* Whatever the host sends ends in a zero byte; those that only clear the line ask for nothing. */
static void await_request(void)
{
    uint8_t byte = 0, before;
    do {
        before = byte;
        byte = te_receive_byte();
    } while (byte != 0 || before == 0);
}

void te_server_fault(const te_fault *fault)
{
    te_receive_reset();
    for (;;) {
        send_fault(fault);
        await_request();
    }
}
