// The checks that etcd makes once all settings are known, in its order and with its texts
// (embed.Config.Validate).
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

inline constexpr std::string_view kAdvertiseMissing =
    "--advertise-client-urls is required when --listen-client-urls is set explicitly";

// Also derives what is typed from what is text: compaction mode and retention, log configuration.
Status Validate(Options* options, std::vector<Notice>* notices);

}  // namespace quorate::cmd
