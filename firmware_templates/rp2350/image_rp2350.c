/* The block that an RP2350's boot ROM looks for in the first 4 KB of flash: what begins there is an
 * image, with vectors at its front, for an Arm core in its secure state
 * (RP2350 data sheet, section 5.9.5). */
#include <stdint.h>

#define BLOCK_BEGIN 0xffffded3u
#define BLOCK_END 0xab123579u
#define ITEM_IMAGE_TYPE(type) (0x42u | 1u << 8 | (uint32_t)(type) << 16) /* one word: itself */
#define IMAGE_EXECUTABLE (1u << 0)
#define IMAGE_SECURE (2u << 4)
#define IMAGE_RP2350 (1u << 12) /* and 0 in bits 8 to 10: an Arm core */
#define ITEM_LAST(words) (0xffu | (words) << 8) /* of all items before it */
#define NO_OTHER_BLOCK 0u

__attribute__((section(".image_definition"), used)) static const uint32_t image_definition[] = {
    BLOCK_BEGIN,
    ITEM_IMAGE_TYPE(IMAGE_EXECUTABLE | IMAGE_SECURE | IMAGE_RP2350),
    ITEM_LAST(1u),
    NO_OTHER_BLOCK,
    BLOCK_END,
};
