#include "server/lost_log_guard.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

// How late what is remembered may come to the disk, votes excepted.
constexpr int64_t kSaveIntervalNanos = 1'000'000'000;

// On probation: for so long a leader is followed only by its stream. A member whom the others can reach, but
// who can't reach them, follows what is posted after that.
constexpr int kPostsWaitElectionTimeouts = 5;

bool IsOfLeader(raft::MessageType type) {
  return type == raft::MessageType::kApp || type == raft::MessageType::kHeartbeat;
}

bool IsVoteRequest(raft::MessageType type) {
  return type == raft::MessageType::kVote || type == raft::MessageType::kPreVote;
}

bool IsGrant(const raft::Message& message) {
  return !message.reject &&
         (message.type == raft::MessageType::kVoteResp || message.type == raft::MessageType::kPreVoteResp);
}

}  // namespace

StatusOr<std::unique_ptr<LostLogGuard>> LostLogGuard::Open(const LostLogOptions& options, const Env& env,
                                                           const StartFacts& facts, Hooks hooks) {
  Continuity continuity(env.files, env.random, OwnDirectory(facts.data_dir), options.run_dir,
                        options.boot_id);
  const StartFinding finding = continuity.Examine(facts.member_id, facts.disk.position());
  std::unique_ptr<LostLogGuard> guard(
      new LostLogGuard(options, env, facts, std::move(continuity), finding, std::move(hooks)));
  QUORATE_RETURN_IF_ERROR(guard->Start(finding));
  return guard;
}

LostLogGuard::LostLogGuard(const LostLogOptions& options, const Env& env, const StartFacts& facts,
                           Continuity continuity, const StartFinding& finding, Hooks hooks)
    : options_(options),
      env_(env),
      facts_(facts),
      hooks_(std::move(hooks)),
      continuity_(std::move(continuity)),
      nothing_lost_(facts.first_start || finding.finding == Finding::kContinuous),
      quarantine_file_(env.files, OwnDirectory(facts.data_dir) + "/quarantine.json"),
      memory_file_(env.files, OwnDirectory(facts.data_dir) + "/peer-memory", facts.cluster_id),
      probation_(
          {.start_term = facts.disk.hard_state.term,
           .election_ticks = facts.election_ticks,
           .strict = options.strict_probation,
           .needed = !facts.first_start && !facts.only_voter && finding.finding != Finding::kContinuous}) {}

LostLogGuard::~LostLogGuard() = default;

// ---- start ----

Status LostLogGuard::Start(const StartFinding& finding) {
  memory_ = memory_file_.Load();
  if (facts_.only_voter) {
    // Its log is the truth, whatever was found when there were others.
    QUORATE_RETURN_IF_ERROR(continuity_.Remove());
    return quarantine_file_.Remove();
  }
  QUORATE_ASSIGN_OR_RETURN(mark_, quarantine_file_.Load(facts_.member_id, facts_.cluster_id));
  if (mark_) {
    reason_ = QuarantineReason(*mark_);
    Announce();
    return absl::OkStatus();
  }
  if (auto proof = ProofAtStart(finding)) {
    Quarantine(*std::move(proof), facts_.disk);
    Announce();
    return absl::OkStatus();
  }
  const raft::HardState& state = facts_.disk.hard_state;
  shown_.Set(facts_.member_id, {state.term, state.vote, state.commit});
  witness_saved_ = shown_.Of(facts_.member_id);
  if (!on_probation()) {
    begun_ = true;
    return continuity_.Begin(witness_saved_, continuity_.Draw());
  }
  // What is killed on probation must find itself on probation again: nothing of this process may look
  // continuous.
  QUORATE_RETURN_IF_ERROR(continuity_.Remove());
  LOG_INFO("on probation: no vote and no campaign until the log is known to be whole",
           log::HexId("local-member-id", facts_.member_id), {"reason", finding.why},
           {"strict", options_.strict_probation});
  return absl::OkStatus();
}

std::optional<std::string> LostLogGuard::ProofAtStart(const StartFinding& finding) const {
  if (facts_.first_start) {
    if (facts_.published_name.empty()) return std::nullopt;
    return WipedDirectory(facts_.published_name);
  }
  if (auto proof = ContradictionOnDisk(facts_.disk)) return proof;
  if (finding.finding == Finding::kWentBack) return finding.why;
  return std::nullopt;
}

// ---- quarantine ----

void LostLogGuard::QuarantineNow(std::string proof) {
  const raft::BasicStatus status = hooks_.status();
  DiskFacts facts;
  facts.hard_state = status.hard_state;
  facts.last_index = status.last_index;
  // The program begins anew, quarantined, and says so then: one error, not two.
  if (!Quarantine(std::move(proof), facts)) Announce();
  hooks_.on_quarantine();
}

// The file is written here and now: this member has nothing else to do any more, and must not forget.
bool LostLogGuard::Quarantine(std::string proof, const DiskFacts& facts) {
  mark_ = QuarantineMark{facts_.member_id,
                         facts_.cluster_id,
                         std::move(proof),
                         facts.hard_state.term,
                         facts.hard_state.commit,
                         facts.last_index,
                         env_.clock->WallNanos() / 1'000'000'000};
  reason_ = QuarantineReason(*mark_);
  held_.clear();
  const Status stored = quarantine_file_.Store(*mark_);
  if (!stored.ok()) {
    LOG_ERROR("the quarantine will not survive a restart: can't write its mark",
              {"path", quarantine_file_.path()}, {"error", Message(stored)});
  }
  return stored.ok();
}

void LostLogGuard::Announce() const {
  LOG_ERROR(
      "this member's log went back in time; it is quarantined: it takes no part in elections, "
      "acknowledges nothing and serves nobody",
      log::HexId("local-member-id", facts_.member_id), log::HexId("cluster-id", facts_.cluster_id),
      {"proof", mark_->proof}, {"term", mark_->term}, {"commit", mark_->commit},
      {"last-index", mark_->last_index},
      {"way-out", WayOut(facts_.member_id, facts_.name, facts_.peer_urls, facts_.data_dir)});
}

// ---- messages in ----

LostLogGuard::Verdict LostLogGuard::Inspect(raft::Message& message, MessagePath path) {
  const bool believed = path == MessagePath::kStream;
  if (quarantined() || (believed && Contradicted(message))) return Verdict::kDrop;
  if (on_probation()) {
    if (IsVoteRequest(message.type) || message.type == raft::MessageType::kTimeoutNow) return Verdict::kDrop;
    if (believed) ReportToProbation(message);
    const bool waits_for_stream =
        !believed && IsOfLeader(message.type) &&
        probation_.ticks() < int64_t{kPostsWaitElectionTimeouts} * facts_.election_ticks;
    if (waits_for_stream) return Verdict::kDrop;
  }
  if (memory_.IsSecondVote(message)) {
    LOG_ERROR(
        "ignored a second vote: this member has voted otherwise in that term before, so its log went "
        "back in time",
        log::HexId("member-id", message.from), {"term", message.term},
        log::HexId("first-vote", memory_.Of(message.from).vote));
    return Verdict::kDrop;
  }
  return believed && Remember(message) ? Verdict::kDrop : Verdict::kPass;
}

bool LostLogGuard::Contradicted(const raft::Message& message) {
  MessageContext context{
      .nothing_lost = nothing_lost_, .start_term = facts_.disk.hard_state.term, .campaigned = campaigned_};
  if (message.type == raft::MessageType::kHeartbeat) {
    const raft::BasicStatus status = hooks_.status();
    context.term = status.hard_state.term;
    context.last_index = status.last_index;
  }
  auto proof = ContradictedByMessage(context, message);
  if (!proof) return false;
  QuarantineNow(*std::move(proof));
  return true;
}

void LostLogGuard::ReportToProbation(const raft::Message& message) {
  if (!IsOfLeader(message.type)) return;
  if (message.term < hooks_.status().hard_state.term) return;
  probation_.OnLeaderReport(message.term, message.from, message.commit);
}

// True when the message is held until what it shows is on disk: a vote counts only then, and is answered only
// then.
bool LostLogGuard::Remember(raft::Message& message) {
  const PeerMemory::Change change = memory_.Note(message);
  if (change != PeerMemory::Change::kNone) ++memory_version_;
  const bool vote = message.type == raft::MessageType::kVote ||
                    (message.type == raft::MessageType::kVoteResp && !message.reject);
  if (!vote) return false;
  if (change == PeerMemory::Change::kVote) vote_version_ = memory_version_;
  if (memory_durable_ >= vote_version_) return false;
  held_.push_back({vote_version_, std::move(message)});
  SaveMemory(Lane::kLog);
  return true;
}

void LostLogGuard::ReleaseHeld() {
  while (!held_.empty() && held_.front().version <= memory_durable_) {
    raft::Message message = std::move(held_.front().message);
    held_.pop_front();
    hooks_.deliver(std::move(message));
  }
}

// ---- messages out ----

void LostLogGuard::FilterOutgoing(std::vector<raft::Message>* messages) {
  if (quarantined()) {
    messages->clear();
    return;
  }
  if (on_probation()) {
    std::erase_if(*messages, [](const raft::Message& message) {
      return IsVoteRequest(message.type) || IsGrant(message);
    });
  }
  for (const raft::Message& message : *messages) {
    campaigned_ |= message.type == raft::MessageType::kVote;
    if (message.from == facts_.member_id) shown_.Note(message);
  }
  SaveWitness(hooks_.status());
}

// ---- time ----

void LostLogGuard::Tick() {
  if (quarantined()) return;
  for (const uint64_t peer : probation_.Tick(hooks_.others())) Ask(peer);
  if (probation_.end() == Probation::End::kTrusted && !trust_said_) SayHowProbationEnded();
  const int64_t now = env_.clock->MonotonicNanos();
  if (memory_version_ > memory_durable_ && now - memory_saved_nanos_ >= kSaveIntervalNanos) {
    SaveMemory(Lane::kRead);
  }
  if (!begun_ && !on_probation() && now - begin_tried_nanos_ >= kSaveIntervalNanos) BeginEpoch();
}

void LostLogGuard::EndOfRound() {
  if (quarantined()) return;
  const raft::BasicStatus status = hooks_.status();
  if (status.soft_state.role == raft::Role::kLeader) campaigned_ = true;
  SaveWitness(status);
  if (!on_probation()) return;
  const raft::HardState& state = status.hard_state;
  probation_.OnProgress(state.term, state.commit, hooks_.term_at(state.commit));
  if (!on_probation()) SayHowProbationEnded();
}

void LostLogGuard::SayHowProbationEnded() {
  trust_said_ = true;
  const auto id = log::HexId("local-member-id", facts_.member_id);
  if (probation_.end() == Probation::End::kCaughtUp) {
    LOG_INFO("off probation: the log has reached what the leader committed", id);
    return;
  }
  LOG_WARN("off probation without a leader: nobody contradicts this member's disk, so it is trusted", id,
           {"others-that-answered", static_cast<uint64_t>(probation_.answers())},
           {"ticks", probation_.ticks()});
}

// ---- the others' memory of this member ----

void LostLogGuard::Ask(uint64_t peer) {
  if (hooks_.transport == nullptr) return probation_.OnAnswer(peer, false);
  PeerCall call;
  call.path = std::string(kMemoryPath) + "?member=" + cluster::IdText(facts_.member_id);
  const int64_t timeout = facts_.election_ticks * facts_.tick_nanos;
  hooks_.transport->Call(peer, std::move(call), timeout,
                         [this, peer, alive = std::weak_ptr<char>(alive_)](StatusOr<PeerAnswer> answer) {
                           if (!alive.expired()) OnAnswer(peer, answer);
                         });
}

void LostLogGuard::OnAnswer(uint64_t peer, const StatusOr<PeerAnswer>& answer) {
  if (quarantined()) return;
  probation_.OnAnswer(peer, answer.ok());
  if (!answer.ok() || answer->status != 200) return;
  const auto remembered = ParseMemoryJson(answer->body, facts_.cluster_id, facts_.member_id);
  if (!remembered.ok()) {
    LOG_WARN("ignored an answer about this member's past", log::HexId("from", peer),
             {"error", Message(remembered.status())});
    return;
  }
  // Against what is stored by now: it may have seen this process too.
  const raft::BasicStatus status = hooks_.status();
  const LogPosition disk{status.hard_state.term, status.hard_state.vote, status.last_index};
  if (auto proof = ContradictedByMemory(disk, *remembered, "member " + cluster::IdText(peer))) {
    QuarantineNow(*std::move(proof));
  }
}

PeerAnswer LostLogGuard::AnswerMemory(const PeerCall& call) const {
  constexpr std::string_view kQuery = "?member=";
  const size_t query = call.path.find(kQuery);
  const auto id = query == std::string::npos
                      ? InvalidArgument("no member")
                      : cluster::ParseId(std::string_view(call.path).substr(query + kQuery.size()));
  if (!id.ok()) return {400, "member: a member ID in hex is expected\n", "text/plain; charset=utf-8"};
  return {200, MemoryJson(facts_.cluster_id, *id, memory_.Of(*id)), "application/json"};
}

// ---- files ----

void LostLogGuard::SaveMemory(Lane lane) {
  if (memory_writing_) return;
  memory_writing_ = true;
  memory_saved_nanos_ = env_.clock->MonotonicNanos();
  struct Write {
    std::string image;
    Status status;
  };
  auto write = std::make_shared<Write>();
  write->image = memory_file_.NextImage(memory_);
  env_.executor->Submit(
      lane, [this, write] { write->status = memory_file_.Write(write->image); },
      [this, write, version = memory_version_] {
        memory_writing_ = false;
        if (!write->status.ok()) {
          if (memory_file_.opened()) return hooks_.on_fatal(write->status);
          LOG_WARN("can't keep what is remembered of other members", {"error", Message(write->status)});
        }
        memory_durable_ = version;
        ReleaseHeld();
        if (!held_.empty()) SaveMemory(Lane::kLog);
      });
}

// What others may have seen of this member. What it has applied is committed, and so on its disk.
LogPosition LostLogGuard::Witness(const raft::BasicStatus& status) const {
  LogPosition witness = shown_.Of(facts_.member_id);
  witness.index = std::max(witness.index, status.applied);
  return witness;
}

// Before what shows it leaves: messages, and the answers to clients, which follow the end of the round.
void LostLogGuard::SaveWitness(const raft::BasicStatus& status) {
  if (!begun_) return;
  const LogPosition witness = Witness(status);
  if (witness == witness_saved_) return;
  witness_saved_ = witness;
  continuity_.SaveWitness(witness);
}

// Of a process that was on probation, once that is over. What it shows meanwhile is written when it has
// begun; until then its end looks like one on probation.
void LostLogGuard::BeginEpoch() {
  if (epoch_beginning_ || facts_.only_voter) return;
  epoch_beginning_ = true;
  begin_tried_nanos_ = env_.clock->MonotonicNanos();
  const LogPosition witness = Witness(hooks_.status());
  witness_saved_ = witness;
  auto status = std::make_shared<Status>();
  env_.executor->Submit(
      Lane::kRead,
      [this, witness, status, numbers = continuity_.Draw()] {
        *status = continuity_.Begin(witness, numbers);
      },
      [this, status] {
        epoch_beginning_ = false;
        begun_ = status->ok();
        if (begun_) return SaveWitness(hooks_.status());
        LOG_WARN("the next start will not be continuous", {"error", Message(*status)});
      });
}

Status LostLogGuard::Close(const LogPosition& end) {
  if (quarantined() || !begun_ || hooks_.others().empty()) return absl::OkStatus();
  if (memory_version_ > memory_durable_) {
    QUORATE_RETURN_IF_ERROR(memory_file_.Write(memory_file_.NextImage(memory_)));
  }
  const LogPosition seen = shown_.Of(facts_.member_id);
  return continuity_.End({end.term, end.vote, seen.term == end.term ? seen.index : 0}, end.index);
}

}  // namespace quorate::server
