#include "sink/address_seal.h"

#include <string.h>

void address_seal_init(struct address_seal *seal, const uint8_t key[static SEAL_KEY_SIZE])
{
    aes128_set_encrypt_key(&seal->encrypt, key);
    aes128_invert_key(&seal->decrypt, &seal->encrypt);
    aes128_encrypt(&seal->encrypt, AES_BLOCK_SIZE, seal->pad, key + AES128_KEY_SIZE);
}

void address_seal_deterministic(const struct address_seal *seal, const uint8_t address[static 16],
                                uint8_t ret_sealed[static 16])
{
    aes128_encrypt(&seal->encrypt, AES_BLOCK_SIZE, ret_sealed, address);
}

void address_open_deterministic(const struct address_seal *seal, const uint8_t sealed[static 16],
                                uint8_t ret_address[static 16])
{
    aes128_decrypt(&seal->decrypt, AES_BLOCK_SIZE, ret_address, sealed);
}

/* A bit is flipped or not by what stands before it in the address, and by nothing behind: the first
 * bit of a block made of those bits and, for the rest, of the pad. */
static uint8_t flip_of(const struct address_seal *seal, const uint8_t *address, size_t bit)
{
    uint8_t block[AES_BLOCK_SIZE], result[AES_BLOCK_SIZE];
    const size_t octet = bit / 8;
    const uint8_t mask = (uint8_t)(0xff00 >> bit % 8);

    memcpy(block, seal->pad, sizeof(block));
    memcpy(block, address, octet);
    block[octet] = (uint8_t)((address[octet] & mask) | (seal->pad[octet] & ~mask));
    aes128_encrypt(&seal->encrypt, AES_BLOCK_SIZE, result, block);
    return (uint8_t)((result[0] & 0x80) >> bit % 8);
}

void address_seal_prefix(const struct address_seal *seal, const uint8_t *address, size_t size,
                         uint8_t *ret_sealed)
{
    uint8_t sealed[SEAL_OCTETS_MAX];
    memcpy(sealed, address, size);
    for (size_t bit = 0; bit < size * 8; bit++)
        sealed[bit / 8] ^= flip_of(seal, address, bit);
    memcpy(ret_sealed, sealed, size);
}

/* The bits before one are open when its turn comes. */
void address_open_prefix(const struct address_seal *seal, const uint8_t *sealed, size_t size,
                         uint8_t *ret_address)
{
    uint8_t address[SEAL_OCTETS_MAX];
    memcpy(address, sealed, size);
    for (size_t bit = 0; bit < size * 8; bit++)
        address[bit / 8] ^= flip_of(seal, address, bit);
    memcpy(ret_address, address, size);
}
