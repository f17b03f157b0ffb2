/* Sealing of addresses: permutations of addresses that who has the key can undo. Both are published
 * constructions over AES, so that other programs with the key can open what is sealed here:
 *
 * - deterministic: one block of AES-128 over the 16 octets of the address, IPv4 mapped, as
 *   draft-denis-ipcrypt calls ipcrypt-deterministic;
 * - prefix-preserving: Crypto-PAn (Xu, Fan, Ammar, Moon: "Prefix-Preserving IP Address
 *   Anonymization", ICNP 2002), on 32 bits for IPv4 and on 128 for IPv6.
 *
 * Equal addresses give equal octets under a key: that is what a count needs, and all that it tells;
 * prefix-preserving tells also how many bits two addresses share. Pure functions; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <nettle/aes.h>

#define SEAL_KEY_SIZE   32
#define SEAL_OCTETS_MAX 16

struct address_seal {
    struct aes128_ctx encrypt, decrypt;
    uint8_t pad[AES_BLOCK_SIZE]; /* of Crypto-PAn */
};

/* Prepares a key; who holds it wipes it. Deterministic sealing uses the first 16 octets. */
void address_seal_init(struct address_seal *seal, const uint8_t key[static SEAL_KEY_SIZE]);

void address_seal_deterministic(const struct address_seal *seal, const uint8_t address[static 16],
                                uint8_t ret_sealed[static 16]);
void address_open_deterministic(const struct address_seal *seal, const uint8_t sealed[static 16],
                                uint8_t ret_address[static 16]);

/* `size` 4 or 16. */
void address_seal_prefix(const struct address_seal *seal, const uint8_t *address, size_t size,
                         uint8_t *ret_sealed);
void address_open_prefix(const struct address_seal *seal, const uint8_t *sealed, size_t size,
                         uint8_t *ret_address);
