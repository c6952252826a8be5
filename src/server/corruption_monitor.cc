#include "server/corruption_monitor.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"
#include "rpc.pb.h"
#include "server/compact_hash_rules.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

constexpr std::string_view kHashKvPath = "/members/hashkv";
constexpr std::string_view kCompactedText = "mvcc: required revision has been compacted";
constexpr std::string_view kFutureText = "mvcc: required revision is a future revision";

StatusOr<nlohmann::json> ParseObject(std::string_view text) {
  auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument("not the JSON of a hash");
  return json;
}

// Absent is 0, as Go leaves out what is 0.
Status ReadInteger(const nlohmann::json& json, const char* key, int64_t* out) {
  const auto found = json.find(key);
  if (found == json.end()) return absl::OkStatus();
  if (!found->is_number_integer()) {
    return InvalidArgument(std::string("the JSON of a hash has no whole number in ") + key);
  }
  *out = found->get<int64_t>();
  return absl::OkStatus();
}

StatusOr<mvcc::HashKvResult> ReadAnswer(const StatusOr<PeerAnswer>& answer) {
  if (!answer.ok()) return answer.status();
  if (answer->status == 400) {
    if (answer->body.find(kCompactedText) != std::string::npos) return ErrCompacted();
    if (answer->body.find(kFutureText) != std::string::npos) return ErrFutureRevision();
  }
  if (answer->status != 200) return Unavailable("unknown error: " + answer->body);
  return ParseHash(answer->body);
}

void LogUncomparable(uint64_t local_id, int64_t revision, const mvcc::HashKvResult& local,
                     const PeerHash& peer) {
  std::string_view what = "cannot fetch hash from remote peer";
  if (peer.hash.status() == ErrFutureRevision()) what = "cannot fetch hash from slow remote peer";
  if (peer.hash.status() == ErrCompacted())
    what = "cannot fetch hash from remote peer; local member is behind";
  LOG_WARN(what, log::HexId("local-member-id", local_id), {"local-member-revision", revision},
           {"local-member-compact-revision", local.compact_revision},
           {"local-member-hash", uint64_t{local.hash}}, log::HexId("remote-peer-id", peer.id),
           {"remote-peer-endpoints", peer.urls}, {"error", Message(peer.hash.status())});
}

void LogDifference(std::string_view what, uint64_t local_id, int64_t revision,
                   const mvcc::HashKvResult& local, const PeerHash& peer) {
  LOG_WARN(what, log::HexId("local-member-id", local_id), {"local-member-revision", revision},
           {"local-member-compact-revision", local.compact_revision},
           {"local-member-hash", uint64_t{local.hash}}, log::HexId("remote-peer-id", peer.id),
           {"remote-peer-endpoints", peer.urls}, {"remote-peer-revision", peer.hash->current_revision},
           {"remote-peer-compact-revision", peer.hash->compact_revision},
           {"remote-peer-hash", uint64_t{peer.hash->hash}});
}

}  // namespace

// ---- the request and its answer ----

std::string HashRequestJson(int64_t revision) {
  return revision == 0 ? "{}" : R"({"revision":)" + std::to_string(revision) + "}";
}

StatusOr<int64_t> ParseHashRequest(std::string_view text) {
  QUORATE_ASSIGN_OR_RETURN(const auto json, ParseObject(text));
  int64_t revision = 0;
  QUORATE_RETURN_IF_ERROR(ReadInteger(json, "revision", &revision));
  return revision;
}

std::string HashJson(const mvcc::HashKvResult& result, int64_t hash_revision) {
  const auto field = [](std::string_view name, int64_t value) {
    return value == 0 ? std::string() : ",\"" + std::string(name) + "\":" + std::to_string(value);
  };
  return R"({"header":{"revision":)" + std::to_string(result.current_revision) + "}" +
         field("hash", result.hash) + field("compact_revision", result.compact_revision) +
         field("hash_revision", hash_revision) + "}";
}

StatusOr<mvcc::HashKvResult> ParseHash(std::string_view text) {
  QUORATE_ASSIGN_OR_RETURN(const auto json, ParseObject(text));
  mvcc::HashKvResult result;
  int64_t hash = 0;
  QUORATE_RETURN_IF_ERROR(ReadInteger(json, "hash", &hash));
  if (hash < 0 || hash > int64_t{UINT32_MAX}) return InvalidArgument("a hash of more than 32 bits");
  result.hash = static_cast<uint32_t>(hash);
  QUORATE_RETURN_IF_ERROR(ReadInteger(json, "compact_revision", &result.compact_revision));
  const auto header = json.find("header");
  if (header == json.end() || !header->is_object()) return InvalidArgument("a hash without its header");
  QUORATE_RETURN_IF_ERROR(ReadInteger(*header, "revision", &result.current_revision));
  return result;
}

// ---- rules ----

Status CompareInitially(uint64_t local_id, int64_t revision, const mvcc::HashKvResult& local,
                        const std::vector<PeerHash>& peers) {
  bool differs = false;
  for (const PeerHash& peer : peers) {
    if (!peer.hash.ok()) {
      LogUncomparable(local_id, revision, local, peer);
    } else if (peer.hash->hash != local.hash) {
      const bool comparable = peer.hash->compact_revision == local.compact_revision;
      LogDifference(comparable ? "found different hash values from remote peer"
                               : "found different compact revision values from remote peer",
                    local_id, revision, local, peer);
      differs = differs || comparable;
    }
  }
  if (!differs) return absl::OkStatus();
  return FailedPrecondition(cluster::IdText(local_id) + " found data inconsistency with peers");
}

std::optional<uint64_t> FindCorrupt(uint64_t local_id, int64_t revision, const mvcc::HashKvResult& before,
                                    const std::vector<PeerHash>& peers, int64_t revision_after,
                                    const mvcc::HashKvResult& after) {
  if (after.hash != before.hash && revision_after == revision &&
      after.compact_revision == before.compact_revision) {
    LOG_WARN("found hash mismatch", {"revision", revision}, {"compact-revision", before.compact_revision},
             {"hash-1", uint64_t{before.hash}}, {"hash-2", uint64_t{after.hash}});
    return local_id;
  }
  std::optional<uint64_t> corrupt;
  for (const PeerHash& peer : peers) {
    if (!peer.hash.ok()) continue;
    std::string_view reason;
    if (peer.hash->current_revision > revision_after) {
      reason = "revision from follower must be less than or equal to leader's";
    } else if (peer.hash->compact_revision > after.compact_revision) {
      reason = "compact revision from follower must be less than or equal to leader's";
    } else if (peer.hash->compact_revision == before.compact_revision && peer.hash->hash != before.hash) {
      reason = "same compact revision then hashes must match";
    } else {
      continue;
    }
    LogDifference(reason, local_id, revision, before, peer);
    if (!corrupt) corrupt = peer.id;
  }
  return corrupt;
}

// ---- the checks ----

CorruptionMonitor::CorruptionMonitor(Member* member, int64_t interval_nanos,
                                     int64_t compactions_interval_nanos)
    : member_(*member),
      periodic_{interval_nanos, member->now() + interval_nanos},
      compactions_{compactions_interval_nanos, member->now() + compactions_interval_nanos} {
  if (interval_nanos == 0) return;
  LOG_INFO("enabled corruption checking", log::HexId("local-member-id", member_.id()),
           log::Duration("interval", interval_nanos));
}
CorruptionMonitor::~CorruptionMonitor() = default;

void CorruptionMonitor::AskPeers(int64_t revision, std::function<void(std::vector<PeerHash>)> done) {
  struct Asked {
    std::vector<PeerHash> hashes;
    size_t missing = 0;
    std::function<void(std::vector<PeerHash>)> done;
  };
  const auto asked = std::make_shared<Asked>();
  for (const auto& [id, member] : member_.membership().members()) {
    if (id == member_.id() || member.peer_urls.empty()) continue;
    asked->hashes.push_back({id, member.peer_urls, Unavailable("not asked")});
  }
  asked->missing = asked->hashes.size();
  if (asked->missing == 0 || member_.transport() == nullptr) return done({});
  asked->done = std::move(done);
  for (size_t i = 0; i < asked->hashes.size(); ++i) {
    PeerCall call;
    call.path = kHashKvPath;
    call.body = HashRequestJson(revision);
    call.content_type = "application/json";
    member_.transport()->Call(asked->hashes[i].id, std::move(call), member_.config().request_timeout_nanos(),
                              [i, asked, alive = std::weak_ptr(alive_)](const StatusOr<PeerAnswer>& answer) {
                                if (alive.expired()) return;
                                asked->hashes[i].hash = ReadAnswer(answer);
                                if (--asked->missing == 0) asked->done(std::move(asked->hashes));
                              });
  }
}

void CorruptionMonitor::CheckInitially(std::function<void(const Status&)> done) {
  LOG_INFO("starting initial corruption check", log::HexId("local-member-id", member_.id()),
           log::Duration("timeout", member_.config().request_timeout_nanos()));
  // In a later round: what the log has committed is applied by then, the members among it.
  const auto begin = [this, alive = std::weak_ptr(alive_), done = std::move(done)] {
    if (!alive.expired()) HashInitially(done);
  };
  member_.env().executor->Submit(
      Lane::kRead, [] {}, begin);
}

void CorruptionMonitor::HashInitially(const std::function<void(const Status&)>& done) {
  member_.store().HashKv(
      0, [this, alive = std::weak_ptr(alive_), done](const StatusOr<mvcc::HashKvResult>& local) {
        if (alive.expired()) return;
        if (!local.ok()) {
          return done(Internal(cluster::IdText(member_.id()) + " failed to fetch hash (" +
                               std::string(Message(local.status())) + ")"));
        }
        AskPeers(local->current_revision, [this, local = *local, done](const std::vector<PeerHash>& peers) {
          const Status status = CompareInitially(member_.id(), local.current_revision, local, peers);
          if (status.ok()) {
            LOG_INFO("initial corruption checking passed; no corruption",
                     log::HexId("local-member-id", member_.id()));
          }
          done(status);
        });
      });
}

// In turn: our hash, the others' hashes of that revision, a linearizable read, our hash again.
struct CorruptionMonitor::Check {
  mvcc::HashKvResult before;
  std::vector<PeerHash> peers;
  std::function<void(const Status&)> done;
};

void CorruptionMonitor::CheckNow(std::function<void(const Status&)> done) {
  const auto check = std::make_shared<Check>();
  check->done = std::move(done);
  const auto alive = std::weak_ptr(alive_);
  member_.store().HashKv(0, [this, alive, check](const StatusOr<mvcc::HashKvResult>& before) {
    if (alive.expired()) return;
    if (!before.ok()) return check->done(before.status());
    check->before = *before;
    AskPeers(before->current_revision, [this, alive, check](std::vector<PeerHash> peers) {
      check->peers = std::move(peers);
      member_.WhenLinearizable([this, alive, check](const Status& status) {
        if (alive.expired()) return;
        if (!status.ok()) return check->done(status);
        Finish(check);
      });
    });
  });
}

void CorruptionMonitor::Finish(const std::shared_ptr<Check>& check) {
  member_.store().HashKv(0, [this, check,
                             alive = std::weak_ptr(alive_)](const StatusOr<mvcc::HashKvResult>& after) {
    if (alive.expired()) return;
    if (!after.ok()) return check->done(after.status());
    const auto corrupt = FindCorrupt(member_.id(), check->before.current_revision, check->before,
                                     check->peers, after->current_revision, *after);
    if (corrupt) RaiseAlarm(*corrupt);
    LOG_INFO("finished peer corruption check", {"number-of-peers-checked", uint64_t{check->peers.size()}});
    check->done(absl::OkStatus());
  });
}

// ---- compactions ----

// Newest first, until one settles it.
struct CorruptionMonitor::CompactionCheck {
  std::vector<mvcc::CompactionHash> unchecked;  // Oldest first.
  uint64_t checked = 0;
  std::function<void()> done;
};

void CorruptionMonitor::CheckCompactions(std::function<void()> done) {
  LOG_INFO("starting compact hash check", log::HexId("local-member-id", member_.id()),
           log::Duration("timeout", member_.config().request_timeout_nanos()));
  const auto check = std::make_shared<CompactionCheck>();
  for (const mvcc::CompactionHash& hash : member_.store().CompactionHashes()) {
    if (hash.revision > compaction_checked_) check->unchecked.push_back(hash);
  }
  check->done = std::move(done);
  CheckNextCompaction(check);
}

void CorruptionMonitor::CheckNextCompaction(const std::shared_ptr<CompactionCheck>& check) {
  if (check->unchecked.empty()) {
    LOG_INFO("finished compaction hash check", {"number-of-hashes-checked", check->checked});
    return check->done();
  }
  const mvcc::CompactionHash hash = check->unchecked.back();
  check->unchecked.pop_back();
  ++check->checked;
  AskPeers(hash.revision, [this, check, hash](const std::vector<PeerHash>& peers) {
    const CompactHashVerdict verdict = JudgeCompactHash(member_.id(), hash, peers);
    for (const uint64_t id : verdict.corrupt) RaiseAlarm(id);
    if (verdict.all_equal) {
      LOG_INFO("successfully checked hash on whole cluster",
               {"number-of-peers-checked", uint64_t{peers.size()}}, {"revision", hash.revision},
               {"compactRevision", hash.compact_revision});
      compaction_checked_ = std::max(compaction_checked_, hash.revision);
    }
    if (verdict.settled) check->unchecked.clear();
    CheckNextCompaction(check);
  });
}

void CorruptionMonitor::RaiseAlarm(uint64_t member_id) {
  if (member_.alarms().Has(member_id, AlarmType::kCorrupt)) return;
  LOG_ERROR("a member's data differ from the others': raising the alarm CORRUPT",
            log::HexId("member-id", member_id));
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_memberid(member_id);
  request.set_alarm(etcdserverpb::CORRUPT);
  member_.Propose(EntryKind::kAlarm, request.SerializeAsString(), {},
                  [](const Status& status, std::string_view) {
                    if (!status.ok())
                      LOG_WARN("failed to raise the alarm CORRUPT", {"error", Message(status)});
                  });
}

bool CorruptionMonitor::IsDue(Schedule* schedule) {
  if (schedule->interval_nanos == 0 || member_.now() < schedule->next_nanos) return false;
  schedule->next_nanos = member_.now() + schedule->interval_nanos;
  // One that never ended (its store was replaced by a leader's snapshot) has been given up with the
  // leadership.
  if (!member_.is_leader()) schedule->under_way = false;
  if (!member_.is_leader() || schedule->under_way) return false;
  schedule->under_way = true;
  return true;
}

void CorruptionMonitor::Tick() {
  if (IsDue(&periodic_)) {
    CheckNow([this](const Status& status) {
      periodic_.under_way = false;
      if (!status.ok()) LOG_WARN("failed to check hash KV", {"error", Message(status)});
    });
  }
  if (IsDue(&compactions_)) {
    CheckCompactions([this] { compactions_.under_way = false; });
  }
}

}  // namespace quorate::server
