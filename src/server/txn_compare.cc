#include "server/txn_compare.h"

#include <algorithm>
#include <cstdint>

#include "server/kv_applier.h"

namespace quorate::server {
namespace {

using etcdserverpb::Compare;

int Sign(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

bool ResultHolds(Compare::CompareResult wanted, int sign) {
  switch (wanted) {
    case Compare::EQUAL:
      return sign == 0;
    case Compare::NOT_EQUAL:
      return sign != 0;
    case Compare::GREATER:
      return sign > 0;
    case Compare::LESS:
      return sign < 0;
    default:
      return true;  // The original lets an unknown result pass.
  }
}

bool HoldsFor(const Compare& compare, const KeyValueView& kv) {
  int sign = 0;
  switch (compare.target()) {
    case Compare::VALUE:
      sign = std::clamp(kv.value.compare(compare.value()), -1, 1);
      break;
    case Compare::CREATE:
      sign = Sign(kv.create_revision, compare.create_revision());
      break;
    case Compare::MOD:
      sign = Sign(kv.mod_revision, compare.mod_revision());
      break;
    case Compare::VERSION:
      sign = Sign(kv.version, compare.version());
      break;
    case Compare::LEASE:
      sign = Sign(kv.lease, compare.lease());
      break;
    default:
      break;
  }
  return ResultHolds(compare.result(), sign);
}

}  // namespace

bool CompareHolds(const Compare& compare, std::span<const std::string_view> kvs) {
  if (kvs.empty()) return compare.target() != Compare::VALUE && HoldsFor(compare, KeyValueView{});
  return std::all_of(kvs.begin(), kvs.end(),
                     [&](std::string_view kv) { return HoldsFor(compare, ParseKeyValue(kv)); });
}

}  // namespace quorate::server
