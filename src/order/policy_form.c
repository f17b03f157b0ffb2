#include "order/policy_form.h"

#include <string.h>

/* REFUSED has no form. "rpz-drop" is nearest in meaning: like a refusal it says nothing about the
 * name, neither that it exists nor that it doesn't, and makes a client ask elsewhere. */
const char *policy_action_target(enum verdict_action action)
{
    switch (action) {
    case VERDICT_NXDOMAIN:
        return ".";
    case VERDICT_NODATA:
        return "*.";
    case VERDICT_REFUSE:
    case VERDICT_DROP:
        return "rpz-drop.";
    case VERDICT_OBSERVE:
        return POLICY_PASSTHRU;
    case VERDICT_TCP_ONLY:
        return "rpz-tcp-only.";
    case VERDICT_SINKHOLE:
        break;
    }
    return NULL;
}

const uint8_t *policy_last_label(const uint8_t *wire)
{
    const uint8_t *last = wire;

    for (const uint8_t *label = wire; *label != 0; label += 1 + *label)
        last = label;
    return last;
}

bool policy_is_other_trigger(const uint8_t *wire)
{
    const uint8_t *last = policy_last_label(wire);

    return last[0] >= 4 && memcmp(last + 1, "rpz-", 4) == 0;
}

bool policy_is_own(const uint8_t *wire)
{
    const uint8_t *last = policy_last_label(wire);

    return last[0] == POLICY_OWN_LABEL[0] &&
           memcmp(last, POLICY_OWN_LABEL, sizeof(POLICY_OWN_LABEL) - 1) == 0;
}

static bool is_alphanumeric(uint8_t octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9');
}

bool policy_is_hostname(const uint8_t *wire)
{
    for (const uint8_t *label = wire; *label != 0; label += 1 + *label) {
        if (!is_alphanumeric(label[1]) || !is_alphanumeric(label[*label]))
            return false;
        for (size_t i = 2; i < *label; i++)
            if (!is_alphanumeric(label[i]) && label[i] != '-')
                return false;
    }
    return true;
}
