// Changing the version of a stopped member's storage. Source of rules and texts: etcdutl/migrate_command.go,
// server/storage/schema.
#pragma once

#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "cluster/version.h"
#include "offline/data_directory.h"

namespace quorate::offline {

// "X.Y", at least 3.5. The texts of the errors are etcd's.
StatusOr<cluster::Version> ParseTargetVersion(std::string_view text);

struct Migrated {
  cluster::Version from;
  cluster::Version to;  // Equal to `from`: nothing was to be done.
  bool forced = false;
};

// Going down requires that the log since the last snapshot holds nothing that the older version does not
// know; `force` sets the version even so. One transaction: done or not at all.
StatusOr<Migrated> Migrate(FileSystem* files, const DataDirectory& at, cluster::Version target, bool force);

}  // namespace quorate::offline
