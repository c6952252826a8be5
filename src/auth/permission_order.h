// The order in which etcd keeps the permissions of a role: by key, and those of one key as Go's sort.Sort
// leaves them, which is not a stable sort. A grant looks only at the first permission of its key, so the
// order decides what the next grant does, and all members must have the same.
#pragma once

#include <vector>

#include "auth/auth_types.h"

namespace quorate::auth {

// What sort.Sort does with them since Go 1.19, by key. (Which is what every etcd of today is built with; the
// random numbers, which only long lists of alike keys need, are those since Go 1.20.)
void SortPermissions(std::vector<Permission>* permissions);

}  // namespace quorate::auth
