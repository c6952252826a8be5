// What `get --tree` and `get --decode` show of the keys that were found. Pure functions; any input is safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rpc.pb.h"

namespace quorate::cmd {

struct RangeView {
  bool tree = false;          // The keys as a tree, with counts and sizes.
  uint64_t tree_levels = 0;   // 0: all.
  bool decode = false;        // The values made readable.
  bool show_secrets = false;  // What Kubernetes' Secrets hold, too.

  bool wanted() const { return tree || decode; }
};

// One value: JSON over several lines, an object of Kubernetes as an outline, text as it is, all else as its
// first bytes.
std::string DecodedValue(std::string_view key, std::string_view value, bool show_secrets);

std::string RangeText(const etcdserverpb::RangeResponse& range, const RangeView& view);

}  // namespace quorate::cmd
