#include "server/forwarded_check.h"

#include <string>

#include "auth/auth_errors.h"
#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "server/applier.h"
#include "server/requests.h"

namespace quorate::server {
namespace {

template <typename Message>
StatusOr<Message> Parse(const EntryView& entry) {
  Message message;
  if (message.ParseFromArray(entry.body.data(), static_cast<int>(entry.body.size()))) return message;
  return InvalidArgument("a malformed request of kind " + std::to_string(entry.field));
}

Status CheckNormal(std::string_view data, const cluster::Membership& membership) {
  if (cluster::IsV2Request(data)) {
    QUORATE_ASSIGN_OR_RETURN(const cluster::V2Request request, cluster::DecodeV2Request(data));
    return membership.ValidateV2(request);
  }
  EntryView entry;
  if (!DecodeEntry(data, &entry)) return InvalidArgument("an entry that can't be decoded");
  switch (entry.kind) {
    case EntryKind::kClusterVersionSet: {
      QUORATE_ASSIGN_OR_RETURN(const auto request, Parse<etcdserverpb::ClusterVersionSetRequest>(entry));
      QUORATE_ASSIGN_OR_RETURN(const cluster::Version version, cluster::ParseVersion(request.ver()));
      return membership.ValidateVersion(version);
    }
    case EntryKind::kClusterMemberAttrSet: {
      QUORATE_ASSIGN_OR_RETURN(const auto request, Parse<etcdserverpb::ClusterMemberAttrSetRequest>(entry));
      return membership.ValidateAttributesOf(request.member_id());
    }
    case EntryKind::kDowngradeInfoSet: {
      QUORATE_ASSIGN_OR_RETURN(const auto request, Parse<etcdserverpb::DowngradeInfoSetRequest>(entry));
      return request.enabled() ? cluster::ParseVersion(request.ver()).status() : absl::OkStatus();
    }
    case EntryKind::kAuthUserAdd: {
      QUORATE_ASSIGN_OR_RETURN(const auto request, Parse<etcdserverpb::AuthUserAddRequest>(entry));
      return auth::CheckUserNameFits(request.name());
    }
    case EntryKind::kAuthRoleAdd: {
      QUORATE_ASSIGN_OR_RETURN(const auto request, Parse<etcdserverpb::AuthRoleAddRequest>(entry));
      return auth::CheckRoleNameFits(request.name());
    }
    default:
      return Applier::CheckReadable(entry);
  }
}

Status CheckConfChange(std::string_view data, const cluster::Membership& membership) {
  QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(data));
  if (change.node_id == raft::kNone) return InvalidArgument("a change of membership that names no member");
  const Status valid = membership.ValidateConfChange(change);
  return absl::IsDataLoss(valid) ? valid : absl::OkStatus();
}

}  // namespace

Status CheckForwarded(const raft::Entry& entry, const cluster::Membership& membership) {
  switch (entry.type) {
    case raft::EntryType::kNormal:
      return entry.data.empty() ? absl::OkStatus() : CheckNormal(entry.data.view(), membership);
    case raft::EntryType::kConfChange:
      return CheckConfChange(entry.data.view(), membership);
    case raft::EntryType::kConfChangeV2:
      break;
  }
  return InvalidArgument("a joint change of membership, which no etcd writes");
}

}  // namespace quorate::server
