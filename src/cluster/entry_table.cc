#include "cluster/entry_table.h"

#include <algorithm>

namespace quorate::cluster {
namespace {

constexpr Version kAlways{3, 0, 0};

constexpr EntryRule kTable[] = {
    // Entries: fields of InternalRaftRequest.
    {"range", 3, kAlways, Below::kRefuse},
    {"put", 4, kAlways, Below::kRefuse},
    {"delete_range", 5, kAlways, Below::kRefuse},
    {"txn", 6, kAlways, Below::kRefuse},
    {"compaction", 7, kAlways, Below::kRefuse},
    {"lease_grant", 8, kAlways, Below::kRefuse},
    {"lease_revoke", 9, kAlways, Below::kRefuse},
    {"alarm", 10, kAlways, Below::kRefuse},
    {"lease_checkpoint", 11, kVersion34, Below::kLocal},
    {"auth_enable", 1000, kAlways, Below::kRefuse},
    {"auth_disable", 1011, kAlways, Below::kRefuse},
    {"authenticate", 1012, kAlways, Below::kRefuse},
    {"auth_status", 1013, kVersion35, Below::kLocal},
    {"auth_user_add", 1100, kAlways, Below::kRefuse},
    {"auth_user_delete", 1101, kAlways, Below::kRefuse},
    {"auth_user_get", 1102, kAlways, Below::kRefuse},
    {"auth_user_change_password", 1103, kAlways, Below::kRefuse},
    {"auth_user_grant_role", 1104, kAlways, Below::kRefuse},
    {"auth_user_revoke_role", 1105, kAlways, Below::kRefuse},
    {"auth_user_list", 1106, kAlways, Below::kRefuse},
    {"auth_role_list", 1107, kAlways, Below::kRefuse},
    {"auth_role_add", 1200, kAlways, Below::kRefuse},
    {"auth_role_delete", 1201, kAlways, Below::kRefuse},
    {"auth_role_get", 1202, kAlways, Below::kRefuse},
    {"auth_role_grant_permission", 1203, kAlways, Below::kRefuse},
    {"auth_role_revoke_permission", 1204, kAlways, Below::kRefuse},
    // 3.5 can apply these two, but still proposes the v2 form, since a 3.4 member may be about to come back.
    {"cluster_version_set", 1300, kVersion36, Below::kAsV2Request},
    {"cluster_member_attr_set", 1301, kVersion36, Below::kAsV2Request},
    {"downgrade_info_set", 1302, kVersion35, Below::kRefuse},
    {"downgrade_version_test", 9900, kVersion37, Below::kNever},
    // Fields within entries.
    {"put.ignore_value", 0, {3, 2, 0}, Below::kRefuse},
    {"put.ignore_lease", 0, {3, 2, 0}, Below::kRefuse},
    {"txn.compare.lease", 0, {3, 3, 0}, Below::kRefuse},
    {"txn.compare.range_end", 0, {3, 3, 0}, Below::kRefuse},
    {"txn.success.txn", 0, {3, 3, 0}, Below::kRefuse},
    {"alarm.corrupt", 0, {3, 3, 0}, Below::kRefuse},
    {"auth_user_add.options", 0, kVersion34, Below::kRefuse},
    {"auth_user_add.hashedPassword", 0, kVersion35, Below::kOmitField},
    {"auth_user_change_password.hashedPassword", 0, kVersion35, Below::kOmitField},
    // Entries of other types.
    {"ConfChange.AddLearnerNode", 0, kVersion34, Below::kRefuse},
    {"ConfChange.isPromote", 0, kVersion34, Below::kRefuse},
    {"ConfChangeV2", 0, kVersion37, Below::kNever},
    // Rows of the db, and records of the log. 3.4 reads neither, but would leave the first two stale.
    {"meta/term", 0, kVersion35, Below::kOmitRow},
    {"meta/confState", 0, kVersion35, Below::kOmitRow},
    {"cluster/downgrade", 0, kVersion35, Below::kOmitRow},
    {"meta/storageVersion", 0, kVersion36, Below::kOmitRow},
    // Every version skips the unknown field, and 3.7 starts from it.
    {"walpb.Snapshot.conf_state", 0, kAlways, Below::kOmitField},
};

}  // namespace

std::span<const EntryRule> EntryTable() { return kTable; }

const EntryRule* FindEntryRule(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kTable), std::end(kTable), [&](const EntryRule& r) { return r.name == name; });
  return found == std::end(kTable) ? nullptr : &*found;
}

const EntryRule* FindEntryRule(uint32_t field) {
  if (field == 0) return nullptr;
  const auto found = std::find_if(std::begin(kTable), std::end(kTable),
                                  [&](const EntryRule& r) { return r.field == field; });
  return found == std::end(kTable) ? nullptr : &*found;
}

bool MayWrite(const EntryRule& rule, const std::optional<Version>& cluster_version) {
  return rule.below != Below::kNever && rule.since <= cluster_version.value_or(kInitialClusterVersion);
}

}  // namespace quorate::cluster
