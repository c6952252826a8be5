#include "server/reconfiguration.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "cluster/membership_errors.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

constexpr double kLearnerReadyShare = 0.9;  // etcd: readyPercentThreshold

size_t Quorum(size_t members) { return members / 2 + 1; }

std::vector<uint64_t> Voters(const cluster::Membership& membership) {
  std::vector<uint64_t> voters;
  for (const auto& [id, member] : membership.members()) {
    if (!member.is_learner) voters.push_back(id);
  }
  return voters;
}

// How many voters this member has been connected to for the health interval, itself included.
size_t Connected(const cluster::Membership& membership, const std::vector<uint64_t>& voters,
                 int64_t now_nanos, const ActiveSince& active_since) {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(), [&](uint64_t id) {
    if (id == membership.local_id()) return true;
    const int64_t since = active_since(id);
    return since != 0 && since < now_nanos - kHealthIntervalNanos;
  }));
}

void LogRefusal(std::string_view change, uint64_t local_id, uint64_t id, const Status& error) {
  LOG_WARN("rejecting member " + std::string(change) + " request", log::HexId("local-member-id", local_id),
           log::HexId("requested-member-id", id), {"error", Message(error)});
}

bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// What a leader's answer to a forwarded promotion means. Unavailable: to be asked again.
Status PromotionError(int status, const std::string& body) {
  if (status == 404) return cluster::ErrMemberNotFound();
  if (status == 412 && Has(body, Message(cluster::ErrLearnerNotReady())))
    return cluster::ErrLearnerNotReady();
  if (status == 412 && Has(body, "membership: can only promote a learner member")) {
    return cluster::ErrMemberNotLearner();
  }
  return Unavailable("member promote: unknown error(" + body + ")");
}

StatusOr<std::vector<cluster::Member>> ParsePromoted(const std::string& body) {
  auto members = cluster::ParseMemberList(body);
  if (members.ok()) return members;
  return Unavailable("the leader's answer to a promotion is " + std::string(Message(members.status())));
}

}  // namespace

Status CheckAdd(const cluster::Membership& membership, bool learner, int64_t now_nanos,
                const ActiveSince& active_since) {
  if (!learner && !membership.ReadyToAddVoter()) return cluster::ErrNotEnoughStarted();
  const std::vector<uint64_t> voters = Voters(membership);
  // From a single member the cluster has to be able to grow.
  if (voters.size() <= 1) return absl::OkStatus();
  // The new member counts as one that is not there yet. (etcd 3.4 to 3.6 wanted all voters connected, which
  // kept an operator from replacing a dead one by adding first.)
  if (Connected(membership, voters, now_nanos, active_since) < Quorum(voters.size() + 1)) {
    return cluster::ErrUnhealthyCluster();
  }
  return absl::OkStatus();
}

Status CheckRemove(const cluster::Membership& membership, uint64_t id, int64_t now_nanos,
                   const ActiveSince& active_since) {
  const cluster::Member* const member = membership.Find(id);
  if (member != nullptr && member->is_learner) return absl::OkStatus();
  if (!membership.ReadyToRemoveVoter(id)) return cluster::ErrNotEnoughStarted();
  // One that is down is no part of the quorum that works.
  if (id != membership.local_id() && active_since(id) == 0) return absl::OkStatus();
  const std::vector<uint64_t> voters = Voters(membership);
  const size_t active = Connected(membership, voters, now_nanos, active_since);
  const size_t left = voters.empty() ? 0 : voters.size() - 1;
  if (active < Quorum(left) + 1) return cluster::ErrUnhealthyCluster();
  return absl::OkStatus();
}

Status CheckPromote(const cluster::Membership& membership) {
  return membership.ReadyToPromote() ? absl::OkStatus() : cluster::ErrNotEnoughStarted();
}

Status CheckLearnerReady(const std::map<uint64_t, raft::Progress>& progress, uint64_t leader, uint64_t id) {
  const auto leads = progress.find(leader);
  if (leads == progress.end()) return ErrNotLeader();
  const auto learner = progress.find(id);
  if (learner == progress.end()) return cluster::ErrMemberNotFound();
  const double share = static_cast<double>(learner->second.match) / static_cast<double>(leads->second.match);
  if (share >= kLearnerReadyShare) return absl::OkStatus();
  LOG_ERROR("rejecting promote learner: learner is not ready", {"learner-ready-percent", share},
            {"ready-percent-threshold", kLearnerReadyShare});
  return cluster::ErrLearnerNotReady();
}

Reconfiguration::Reconfiguration(Member* member) : member_(*member) {}
Reconfiguration::~Reconfiguration() = default;

std::vector<cluster::Member> Reconfiguration::Members() const {
  std::vector<cluster::Member> members;
  for (const auto& [id, member] : member_.membership().members()) members.push_back(member);
  return members;
}

int64_t Reconfiguration::ActiveSinceOf(uint64_t id) const {
  return member_.transport() == nullptr ? 0 : member_.transport()->ActiveSince(id);
}

void Reconfiguration::Propose(raft::ConfChange change, Done done) {
  // Whether it may be done is decided when it is applied, by all members alike; this one may be behind.
  member_.ProposeConfChange(std::move(change), [this, alive = std::weak_ptr(alive_), done = std::move(done)](
                                                   const Status& status, std::string_view) {
    if (!status.ok() || alive.expired()) {
      done(status.ok() ? ErrStopped() : status);
    } else {
      done(Members());
    }
  });
}

void Reconfiguration::Add(
    std::vector<std::string> peer_urls, bool learner,
    std::function<void(StatusOr<std::vector<cluster::Member>>, const cluster::Member& added)> done) {
  cluster::Member member;
  member.peer_urls = std::move(peer_urls);
  member.is_learner = learner;
  member.id =
      cluster::ComputeMemberId(member.peer_urls, {}, member_.env().clock->WallNanos() / 1'000'000'000);
  if (member_.config().strict_reconfig_check) {
    const Status bad = CheckAdd(member_.membership(), learner, member_.now(),
                                [this](uint64_t id) { return ActiveSinceOf(id); });
    if (!bad.ok()) {
      LogRefusal("add", member_.id(), member.id, bad);
      done(bad, member);
      return;
    }
  }
  Propose(cluster::AddMemberChange(0, member),
          [done = std::move(done), member](auto members) { done(std::move(members), member); });
}

void Reconfiguration::Remove(uint64_t id, Done done) {
  if (member_.config().strict_reconfig_check) {
    const Status bad = CheckRemove(member_.membership(), id, member_.now(),
                                   [this](uint64_t other) { return ActiveSinceOf(other); });
    if (!bad.ok()) {
      LogRefusal("remove", member_.id(), id, bad);
      done(bad);
      return;
    }
  }
  Propose(cluster::RemoveMemberChange(0, id), std::move(done));
}

void Reconfiguration::Update(uint64_t id, std::vector<std::string> peer_urls, Done done) {
  cluster::Member member;
  member.id = id;
  member.peer_urls = std::move(peer_urls);
  // A learner stays one: the entry says so, for what is applied is what it says (fixed in etcd 3.5.31).
  const cluster::Member* const known = member_.membership().Find(id);
  member.is_learner = known != nullptr && known->is_learner;
  Propose(cluster::UpdateMemberChange(0, member), std::move(done));
}

void Reconfiguration::PromoteHere(uint64_t id, Done done) {
  Status bad = member_.is_leader() ? CheckLearnerReady(member_.progress(), member_.id(), id) : ErrNotLeader();
  if (bad.ok() && member_.config().strict_reconfig_check) bad = CheckPromote(member_.membership());
  if (!bad.ok()) {
    if (member_.is_leader()) LogRefusal("promote", member_.id(), id, bad);
    done(bad);
    return;
  }
  Propose(cluster::PromoteMemberChange(0, id),
          [this, done = std::move(done)](StatusOr<std::vector<cluster::Member>> members) {
            if (members.ok()) ++member_.metrics().learners_promoted;
            done(std::move(members));
          });
}

void Reconfiguration::Promote(uint64_t id, const std::string& token, Done done) {
  if (member_.is_leader()) return PromoteHere(id, std::move(done));
  auto request = std::make_shared<Forwarded>();
  request->id = id;
  request->token = token;
  request->deadline_nanos = member_.now() + member_.config().request_timeout_nanos();
  request->done = std::move(done);
  forwarded_.push_back(request);
  Forward(request);
}

void Reconfiguration::End(const std::shared_ptr<Forwarded>& request,
                          StatusOr<std::vector<cluster::Member>> result) {
  forwarded_.remove(request);
  const Done done = std::move(request->done);
  done(std::move(result));
}

void Reconfiguration::Forward(const std::shared_ptr<Forwarded>& request) {
  if (request->under_way) return;
  const int64_t left = request->deadline_nanos - member_.now();
  if (left <= 0) return End(request, member_.leader() == 0 ? ErrNoLeader() : ErrTimeout());
  if (member_.is_leader()) {
    forwarded_.remove(request);
    return PromoteHere(request->id, std::move(request->done));
  }
  if (member_.leader() == 0 || member_.transport() == nullptr) return;  // Again with the next tick.
  request->under_way = true;
  PeerCall call;
  call.method = "POST";
  call.path = "/members/promote/" + std::to_string(request->id);
  call.token = request->token;
  member_.transport()->Call(
      member_.leader(), std::move(call), left,
      [this, request, alive = std::weak_ptr(alive_)](const StatusOr<PeerAnswer>& answer) {
        if (alive.expired()) return;
        request->under_way = false;
        if (!answer.ok()) return;  // Again with the next tick.
        if (answer->status == 408) return End(request, ErrTimeout());
        if (answer->status == 200) return End(request, ParsePromoted(answer->body));
        const Status error = PromotionError(answer->status, answer->body);
        if (!absl::IsUnavailable(error)) End(request, error);
      });
}

void Reconfiguration::Tick() {
  for (const auto& request : std::list(forwarded_)) Forward(request);
}

}  // namespace quorate::server
