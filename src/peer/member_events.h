// PeerEvents of a real member.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "cluster/version.h"
#include "peer/events.h"
#include "server/member.h"

namespace quorate::peer {

class MemberEvents final : public PeerEvents {
 public:
  // server::PeerService::Handle, or what stands for it.
  using Service = std::function<void(server::PeerCall call, Answer answer)>;

  // `member` must outlive the transport's use of this.
  MemberEvents(server::Member* member, Service service) : member_(member), service_(std::move(service)) {}

  Status Step(raft::Message message, server::MessagePath path) override {
    return member_->Step(std::move(message), path);
  }
  bool IsRemoved(uint64_t id) const override { return member_->membership().removed(id); }
  std::string ServerVersion() const override {
    return cluster::VersionText(cluster::ReportedVersion(member_->membership().version()));
  }
  void ReportUnreachable(uint64_t id) override { member_->ReportUnreachable(id); }
  void ReportSnapshot(uint64_t id, bool ok) override { member_->ReportSnapshot(id, ok); }
  void OnRefusedAsRemoved() override { member_->OnRefusedAsRemoved(); }
  std::unique_ptr<server::SnapshotIntake> NewIntake(uint64_t index) override {
    return std::make_unique<server::SnapshotIntake>(member_->env(), member_->snapshot_files(), index);
  }
  void Serve(server::PeerCall call, Answer answer) override { service_(std::move(call), std::move(answer)); }

 private:
  server::Member* const member_;
  const Service service_;
};

}  // namespace quorate::peer
