#include "server/storage_version.h"

#include <vector>

#include "base/endian.h"

namespace quorate::server {
namespace {

using mvcc::Bucket;

void AppendIds(std::string& out, std::string_view name, const std::vector<uint64_t>& ids) {
  if (ids.empty()) return;
  out.append("\"").append(name).append("\":[");
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(ids[i]);
  }
  out += "],";
}

// Sets or removes a row of bucket meta; nothing is written when it is so already.
Status KeepRow(mvcc::Backend* backend, std::string_view key, const std::optional<std::string>& wanted) {
  QUORATE_ASSIGN_OR_RETURN(const auto present, backend->Get(Bucket::kMeta, key));
  if (present == wanted) return absl::OkStatus();
  if (wanted) {
    backend->Put(Bucket::kMeta, key, *wanted);
  } else {
    backend->Delete(Bucket::kMeta, key);
  }
  return absl::OkStatus();
}

}  // namespace

std::string ConfStateJson(const raft::ConfState& conf_state) {
  std::string out = "{";
  AppendIds(out, "voters", conf_state.voters);
  AppendIds(out, "learners", conf_state.learners);
  AppendIds(out, "voters_outgoing", conf_state.voters_outgoing);
  AppendIds(out, "learners_next", conf_state.learners_next);
  return out + (conf_state.auto_leave ? "\"auto_leave\":true}" : "\"auto_leave\":false}");
}

StatusOr<std::optional<cluster::Version>> ReadStorageVersion(const mvcc::Backend& backend) {
  QUORATE_ASSIGN_OR_RETURN(const auto row, backend.Get(Bucket::kMeta, kStorageVersionKey));
  if (row) {
    QUORATE_ASSIGN_OR_RETURN(const cluster::Version version, cluster::ParseVersion(*row));
    return version;
  }
  QUORATE_ASSIGN_OR_RETURN(const auto term, backend.Get(Bucket::kMeta, mvcc::kTermKey));
  const bool has_term = term && term->size() == sizeof(uint64_t) && LoadBig64(term->data()) != 0;
  if (has_term) return cluster::kVersion35;
  return std::nullopt;
}

Status FollowClusterVersion(const std::optional<cluster::Version>& cluster_version,
                            const raft::ConfState* conf_state, mvcc::Backend* backend) {
  const cluster::Version version = cluster_version.value_or(cluster::kInitialClusterVersion);
  const bool has_term = version >= cluster::kVersion35;
  backend->set_write_term(has_term);
  if (!has_term) QUORATE_RETURN_IF_ERROR(KeepRow(backend, mvcc::kTermKey, std::nullopt));
  if (!has_term) {
    QUORATE_RETURN_IF_ERROR(KeepRow(backend, kConfStateKey, std::nullopt));
  } else if (conf_state != nullptr) {
    QUORATE_RETURN_IF_ERROR(KeepRow(backend, kConfStateKey, ConfStateJson(*conf_state)));
  }
  return KeepRow(backend, kStorageVersionKey,
                 version >= cluster::kVersion36
                     ? std::optional(cluster::VersionText(cluster::ClusterVersion(version)))
                     : std::nullopt);
}

}  // namespace quorate::server
