// The keys a user may read or write, as disjoint ranges.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "auth/auth_types.h"

namespace quorate::auth {

// A set of keys: the union of ranges. Invariant: ranges_ ascend, and neither overlap nor touch.
class RangeSet {
 public:
  // As in Permission. A range of no keys, or from the empty key (which is no key of etcd), adds nothing.
  void Add(std::string_view key, std::string_view range_end);
  // Merges what was added; to be called before Covers.
  void Finish();
  // Whether all keys of the range are in the set.
  bool Covers(std::string_view key, std::string_view range_end) const;

 private:
  // [begin, end); an empty end is the end of all keys.
  struct Range {
    std::string begin;
    std::string end;
  };
  std::vector<Range> ranges_;
};

struct UserPermissions {
  bool everything = false;  // Role root: all keys, and administration.
  RangeSet read;
  RangeSet write;
};

// Whether a permission may be granted: it covers a key (etcd 3.4.25 and 3.5.8).
bool IsValidPermissionRange(std::string_view key, std::string_view range_end);

}  // namespace quorate::auth
