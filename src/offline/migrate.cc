#include "offline/migrate.h"

#include <algorithm>
#include <optional>

#include "bolt/db.h"
#include "cluster/entry_table.h"
#include "mvcc/backend.h"
#include "offline/db_file.h"
#include "offline/member_state.h"
#include "raft_internal.pb.h"
#include "server/requests.h"
#include "server/storage_version.h"

namespace quorate::offline {
namespace {

// The version that an entry names, besides that of its kind.
std::optional<cluster::Version> NamedVersion(const server::EntryView& entry) {
  if (entry.kind != server::EntryKind::kClusterVersionSet) return std::nullopt;
  etcdserverpb::ClusterVersionSetRequest request;
  if (!request.ParseFromArray(entry.body.data(), static_cast<int>(entry.body.size()))) return std::nullopt;
  const auto version = cluster::ParseVersion(request.ver());
  if (!version.ok()) return std::nullopt;
  return *version;
}

// The lowest version that can read all entries.
cluster::Version NeededBy(const std::vector<raft::Entry>& entries) {
  cluster::Version needed;
  for (const raft::Entry& entry : entries) {
    server::EntryView view;
    if (entry.type != raft::EntryType::kNormal || !server::DecodeEntry(entry.data.view(), &view)) continue;
    if (const cluster::EntryRule* rule = cluster::FindEntryRule(view.field))
      needed = std::max(needed, rule->since);
    if (const auto named = NamedVersion(view)) needed = std::max(needed, cluster::ClusterVersion(*named));
  }
  return needed;
}

// Whether storage can be taken from one to the other a minor version at a time.
Status CheckPlan(cluster::Version from, cluster::Version to) {
  if (from.major != to.major) {
    return InvalidArgument("cannot create migration plan: changing major storage version is not supported");
  }
  // Beyond the newest there are no changes known, whether they are to be made or undone.
  const cluster::Version highest = std::max(from, to);
  if (highest <= cluster::kNewestClusterVersion) return absl::OkStatus();
  return InvalidArgument("cannot create migration plan: version \"" + cluster::VersionText(highest) +
                         "\" is not supported");
}

Status SetStorageVersion(FileSystem* files, const std::string& path, cluster::Version target) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, true));
  QUORATE_ASSIGN_OR_RETURN(const auto tx, db->BeginWrite());
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * meta,
                           tx->CreateBucketIfMissing(mvcc::BucketName(mvcc::Bucket::kMeta)));
  // Known since 3.6 only; older versions must not find it.
  if (target < cluster::kVersion36) {
    QUORATE_RETURN_IF_ERROR(meta->Delete(server::kStorageVersionKey));
  } else {
    QUORATE_RETURN_IF_ERROR(meta->Put(server::kStorageVersionKey, cluster::VersionText(target)));
  }
  return tx->Commit();
}

Status CheckMigration(const MemberState& state, cluster::Version from, cluster::Version to) {
  QUORATE_RETURN_IF_ERROR(CheckPlan(from, to));
  const cluster::Version needed = NeededBy(state.entries);
  if (to >= from || to >= needed) return absl::OkStatus();
  return FailedPrecondition("cannot downgrade storage, WAL contains newer entries, as the target version (" +
                            cluster::VersionText(to) + ") is lower than the version (" +
                            cluster::VersionText(needed) +
                            ") detected from WAL logs; let the server take a snapshot first (it does at a "
                            "downgrade of the cluster)");
}

}  // namespace

StatusOr<cluster::Version> ParseTargetVersion(std::string_view text) {
  const std::string quoted = "\"" + std::string(text) + "\"";
  if (std::count(text.begin(), text.end(), '.') != 1) {
    return InvalidArgument("wrong target version format, expected \"X.Y\", got " + quoted);
  }
  const auto version = cluster::ParseVersion(std::string(text) + ".0");
  if (!version.ok())
    return InvalidArgument("failed to parse target version: " + quoted + " is not of the form X.Y");
  if (*version < cluster::kVersion35) {
    return InvalidArgument("target version \"" + cluster::MinorText(*version) +
                           "\" not supported. Minimal \"3.5\"");
  }
  return *version;
}

StatusOr<Migrated> Migrate(FileSystem* files, const DataDirectory& at, cluster::Version target, bool force) {
  QUORATE_ASSIGN_OR_RETURN(const MemberState state, ReadMemberState(files, at));
  if (!state.storage_version) {
    return FailedPrecondition(
        "cannot detect storage schema version: missing term information; " + at.db +
        " is of etcd 3.4 or older, or was not written to since: start it with 3.5 first");
  }
  Migrated migrated{cluster::ClusterVersion(*state.storage_version), target};
  if (migrated.from == target) return migrated;
  const Status possible = CheckMigration(state, migrated.from, target);
  if (!possible.ok() && !force) return possible;
  migrated.forced = !possible.ok();
  QUORATE_RETURN_IF_ERROR(SetStorageVersion(files, at.db, target));
  return migrated;
}

}  // namespace quorate::offline
