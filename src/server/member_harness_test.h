// A member in a simulated world, with the verbs of a test: start, ask, tick, crash, start again.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env_sim.h"
#include "base/logging.h"
#include "raft_internal.pb.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {

inline constexpr std::string_view kDataDir = "/data";
inline constexpr std::string_view kWalDir = "/data/member/wal";
inline constexpr std::string_view kSnapDir = "/data/member/snap";
inline constexpr std::string_view kDb = "/data/member/snap/db";

// What became of a request.
struct Answer {
  bool given = false;
  Status status = Unknown("no answer yet");
  std::string bytes;
};

class MemberHarness {
 public:
  explicit MemberHarness(uint64_t seed, InlineExecutor::Mode mode = InlineExecutor::Mode::kImmediate)
      : files(seed),
        random(seed + 1),
        executor(mode, mode == InlineExecutor::Mode::kQueued ? &random : nullptr) {
    std::string error;
    log::Configure({.level = log::Level::kError}, &error);
    config.data_dir = kDataDir;
    config.advertise_peer_urls = {"http://localhost:2380"};
    config.advertise_client_urls = {"http://localhost:2379"};
    config.initial_cluster = "default=http://localhost:2380";
    config.auth.bcrypt_cost = 4;
    config.on_fatal = [this](const Status& status) { fatal = status; };
  }
  ~MemberHarness() { Forget(); }

  // ---- life ----
  Status Open() {
    fatal = {};
    auto opened = Member::Open(config, {&files, &clock, &random, &executor});
    if (!opened.ok()) return opened.status();
    member = *std::move(opened);
    return {};
  }
  // Until the member is elected and published. False when the disk gave out on the way.
  bool BecomeReady() {
    for (int ticks = 0; ticks < 100 && fatal.ok(); ++ticks) {
      if (member->ready()) return true;
      Tick();
    }
    return fatal.ok() && member->ready();
  }
  void Start() {
    const Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_TRUE(BecomeReady()) << fatal;
  }
  Status Close() {
    RunUntilIdle();
    const Status status = member->Close();
    Forget();
    return status;
  }
  // The process is gone, and with `power` what was not synced is too.
  void Crash(bool power = true) {
    if (power) {
      files.Crash();
    } else {
      files.Kill();
    }
    Forget();
  }
  void Restart() {
    ASSERT_TRUE(Close().ok());
    Start();
  }
  void Forget() {
    executor.Drop();
    member.reset();
  }

  // ---- rounds ----
  void Round() {
    executor.RunCompletions();
    if (fatal.ok()) member->EndOfRound();
  }
  void RunUntilIdle() {
    for (int idle = 0; idle < 2 && fatal.ok();) {
      while (executor.Step()) {
      }
      const bool busy = executor.completed() > 0 || member->WantsRound();
      Round();
      idle = busy || executor.queued() > 0 || executor.completed() > 0 ? 0 : idle + 1;
    }
  }
  void Tick(int count = 1) {
    for (; count > 0 && fatal.ok(); --count) {
      clock.Advance(config.tick_nanos);
      member->Tick();
      RunUntilIdle();
    }
  }

  // ---- requests ----
  std::shared_ptr<Answer> Propose(EntryKind kind, const google::protobuf::Message& request,
                                  const auth::AuthInfo& who = {}) {
    auto answer = std::make_shared<Answer>();
    member->Propose(kind, request.SerializeAsString(), who,
                    [answer](const Status& status, std::string_view bytes) {
                      EXPECT_FALSE(answer->given) << "answered twice";
                      *answer = {true, status, std::string(bytes)};
                    });
    return answer;
  }
  // Through the log, and back.
  template <typename Response>
  StatusOr<Response> Ask(EntryKind kind, const google::protobuf::Message& request,
                         const auth::AuthInfo& who = {}) {
    const auto answer = Propose(kind, request, who);
    RunUntilIdle();
    EXPECT_TRUE(answer->given);
    if (!answer->status.ok()) return answer->status;
    Response response;
    EXPECT_TRUE(response.ParseFromString(answer->bytes));
    return response;
  }
  StatusOr<etcdserverpb::PutResponse> Put(std::string_view key, std::string_view value, int64_t lease = 0,
                                          const auth::AuthInfo& who = {}) {
    etcdserverpb::PutRequest request;
    request.set_key(std::string(key));
    request.set_value(std::string(value));
    request.set_lease(lease);
    return Ask<etcdserverpb::PutResponse>(EntryKind::kPut, request, who);
  }
  StatusOr<etcdserverpb::DeleteRangeResponse> Delete(std::string_view key, std::string_view end = {},
                                                     bool prev_kv = false, const auth::AuthInfo& who = {}) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(std::string(key));
    request.set_range_end(std::string(end));
    request.set_prev_kv(prev_kv);
    return Ask<etcdserverpb::DeleteRangeResponse>(EntryKind::kDeleteRange, request, who);
  }
  StatusOr<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request,
                                          const auth::AuthInfo& who = {}) {
    return Ask<etcdserverpb::TxnResponse>(EntryKind::kTxn, request, who);
  }
  StatusOr<etcdserverpb::LeaseGrantResponse> Grant(int64_t id, int64_t ttl, const auth::AuthInfo& who = {}) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(id);
    request.set_ttl(ttl);
    return Ask<etcdserverpb::LeaseGrantResponse>(EntryKind::kLeaseGrant, request, who);
  }
  StatusOr<etcdserverpb::CompactionResponse> Compact(int64_t revision, bool physical = false) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(physical);
    return Ask<etcdserverpb::CompactionResponse>(EntryKind::kCompaction, request);
  }
  StatusOr<etcdserverpb::AlarmResponse> Alarm(etcdserverpb::AlarmRequest::AlarmAction action,
                                              etcdserverpb::AlarmType type, uint64_t member_id) {
    etcdserverpb::AlarmRequest request;
    request.set_action(action);
    request.set_alarm(type);
    request.set_memberid(member_id);
    return Ask<etcdserverpb::AlarmResponse>(EntryKind::kAlarm, request);
  }

  // Linearizable, all keys; ascending.
  std::vector<mvccpb::KeyValue> ReadAll() {
    std::vector<mvccpb::KeyValue> kvs;
    Status status = Unknown("no answer yet");
    member->WhenLinearizable([&](const Status& s) { status = s; });
    RunUntilIdle();
    EXPECT_TRUE(status.ok()) << status;
    mvcc::RangeOptions options;
    const std::string all(1, '\0');
    options.key = all;
    options.range_end = all;
    const auto result = member->store().Range(options);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return kvs;
    for (const std::string_view bytes : result->kvs) {
      EXPECT_TRUE(kvs.emplace_back().ParseFromString(std::string(bytes)));
    }
    return kvs;
  }
  std::optional<mvccpb::KeyValue> Get(const std::string& key) {
    for (mvccpb::KeyValue& kv : ReadAll()) {
      if (kv.key() == key) return kv;
    }
    return std::nullopt;
  }
  uint32_t HashKv() {
    uint32_t hash = 0;
    member->store().HashKv(0, [&](const StatusOr<mvcc::HashKvResult>& result) {
      EXPECT_TRUE(result.ok()) << result.status();
      if (result.ok()) hash = result->hash;
    });
    RunUntilIdle();
    return hash;
  }

  // ---- the disk ----
  // Every file under the data directory, directories as "<dir>".
  std::map<std::string, std::string> Dump() { return DumpOf(std::string(kDataDir)); }
  std::map<std::string, std::string> DumpOf(const std::string& directory) {
    std::map<std::string, std::string> out;
    const auto names = files.List(directory);
    if (!names.ok()) return out;
    for (const std::string& name : *names) {
      const std::string path = directory + "/" + name;
      if (files.Stat(path)->directory) {
        out[path] = "<dir>";
        out.merge(DumpOf(path));
      } else {
        out[path] = *files.ReadAll(path);
      }
    }
    return out;
  }
  // Puts a directory back as it was.
  void Replace(const std::string& directory, const std::map<std::string, std::string>& dump) {
    ASSERT_TRUE(files.RemoveAll(directory).ok());
    ASSERT_TRUE(files.CreateDirectories(directory, 0700).ok());
    for (const auto& [path, bytes] : dump) {
      if (!path.starts_with(directory + "/") || bytes == "<dir>") continue;
      ASSERT_TRUE(files.WriteAtomically(path, bytes, 0600).ok());
    }
  }

  SimFileSystem files;
  SimClock clock;
  SeededRandom random;
  InlineExecutor executor;
  Config config;
  Status fatal;
  std::unique_ptr<Member> member;
};

}  // namespace quorate::server
