// A random load on a member that loses its power, or is killed, at random operations of its disk, again and
// again. After each start the state must be what a prefix of the requests makes, and all acknowledged ones
// must lie in that prefix.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "base/test_seed.h"
#include "server/member_harness_test.h"

namespace quorate::server {
namespace {

namespace pb = etcdserverpb;

struct Row {
  std::string value;
  int64_t create = 0;
  int64_t mod = 0;
  int64_t version = 0;
  int64_t lease = 0;

  friend bool operator==(const Row&, const Row&) = default;
};

struct Request {
  EntryKind kind = EntryKind::kPut;
  std::string key, end, value;  // Txn: puts key when its version is as wanted, else deletes [key, end).
  int64_t number = 0;           // The lease, the revision to compact at, the version compared with.
};

// What the member should hold.
struct Model {
  int64_t revision = 1;
  int64_t compacted = -1;
  std::map<std::string, Row> rows;
  std::set<int64_t> leases;

  friend bool operator==(const Model&, const Model&) = default;

  void Put(const Request& r, int64_t lease) {
    Row& row = rows[r.key];
    ++revision;
    row = {r.value, row.version == 0 ? revision : row.create, revision, row.version + 1, lease};
  }
  template <typename Doomed>
  void Delete(const Doomed& doomed) {
    if (std::erase_if(rows, doomed) > 0) ++revision;
  }
  // Whether it is granted; a refused one changes nothing.
  bool Apply(const Request& r) {
    const auto in_range = [&](const auto& row) { return row.first >= r.key && row.first < r.end; };
    switch (r.kind) {
      case EntryKind::kPut:
        if (r.number != 0 && !leases.contains(r.number)) return false;
        Put(r, r.number);
        return true;
      case EntryKind::kDeleteRange:
        Delete(in_range);
        return true;
      case EntryKind::kTxn: {
        const auto row = rows.find(r.key);
        if ((row == rows.end() ? 0 : row->second.version) == r.number) {
          Put(r, 0);
        } else {
          Delete(in_range);
        }
        return true;
      }
      case EntryKind::kCompaction:
        if (r.number <= compacted || r.number > revision) return false;
        compacted = r.number;
        return true;
      case EntryKind::kLeaseGrant:
        return leases.insert(r.number).second;
      case EntryKind::kLeaseRevoke:
        if (leases.erase(r.number) == 0) return false;
        Delete([&](const auto& row) { return row.second.lease == r.number; });
        return true;
      default:
        return false;
    }
  }
};

std::string Encode(const Request& r) {
  switch (r.kind) {
    case EntryKind::kPut: {
      pb::PutRequest request;
      request.set_key(r.key);
      request.set_value(r.value);
      request.set_lease(r.number);
      return request.SerializeAsString();
    }
    case EntryKind::kDeleteRange: {
      pb::DeleteRangeRequest request;
      request.set_key(r.key);
      request.set_range_end(r.end);
      return request.SerializeAsString();
    }
    case EntryKind::kTxn: {
      pb::TxnRequest request;
      auto* compare = request.add_compare();
      compare->set_target(pb::Compare::VERSION);
      compare->set_key(r.key);
      compare->set_version(r.number);
      auto* put = request.add_success()->mutable_request_put();
      put->set_key(r.key);
      put->set_value(r.value);
      auto* del = request.add_failure()->mutable_request_delete_range();
      del->set_key(r.key);
      del->set_range_end(r.end);
      return request.SerializeAsString();
    }
    case EntryKind::kCompaction: {
      pb::CompactionRequest request;
      request.set_revision(r.number);
      return request.SerializeAsString();
    }
    case EntryKind::kLeaseGrant: {
      pb::LeaseGrantRequest request;
      request.set_id(r.number);
      request.set_ttl(1'000'000);
      return request.SerializeAsString();
    }
    default: {
      pb::LeaseRevokeRequest request;
      request.set_id(r.number);
      return request.SerializeAsString();
    }
  }
}

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed) : world_(seed, InlineExecutor::Mode::kQueued), random_(seed) {
    world_.config.snapshot_count = 15;
    world_.config.snapshot_catchup_entries = 10;
    world_.config.snapshot_files_max = 2;
    world_.config.wal_files_max = 2;
    world_.config.wal_segment_bytes = 16'384;
    world_.config.backend_batch_operations = 20;
    world_.config.compaction_batch_limit = 5;
    world_.files.set_byte_tears(false);
    world_.files.set_before_operation([this](SimOperation op, const std::string&) -> Status {
      if (crashed_) return Unavailable("the process is dead");
      if (!Changes(op) || --operations_left_ > 0) return absl::OkStatus();
      crashed_ = true;
      if (random_() % 4 == 0) {
        world_.files.Kill();
      } else {
        world_.files.Crash();
      }
      return Unavailable("crashed");
    });
  }

  void Run(int lives) {
    for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) {
      SCOPED_TRACE("life " + std::to_string(life));
      ComeUp();
      if (testing::Test::HasFailure()) return;
      Check();
      Load(random_() % 300);
      GoDown();
    }
    operations_left_ = INT64_MAX;
  }
  uint64_t acknowledged() const { return acknowledged_total_; }

 private:
  void ComeUp() {
    for (int attempt = 0; attempt < 100; ++attempt) {
      crashed_ = false;
      // Starts that crash, too, but not for ever.
      operations_left_ = 1 + static_cast<int64_t>(random_() % (attempt < 5 ? 150 : 100'000));
      const Status opened = world_.Open();
      if (opened.ok() && world_.BecomeReady() && !crashed_) return;
      ASSERT_TRUE(crashed_) << opened << " " << world_.fatal << ", "
                            << (opened.ok() ? world_.member->committed_index() : 0) << " committed";
      world_.Forget();
    }
    FAIL() << "no start without a crash";
  }

  void GoDown() {
    if (!crashed_ && random_() % 3 == 0) {
      operations_left_ = INT64_MAX;
      ASSERT_TRUE(world_.Close().ok());
      return;
    }
    if (!crashed_) world_.files.Crash();
    world_.Forget();
  }

  Model Observed() {
    Model seen;
    for (const mvccpb::KeyValue& kv : world_.ReadAll()) {
      seen.rows[kv.key()] = {kv.value(), kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease()};
    }
    seen.revision = world_.member->store().current_revision();
    seen.compacted = world_.member->store().compacted_revision();
    for (const int64_t id : world_.member->lessor().Leases()) seen.leases.insert(id);
    return seen;
  }

  // model_ holds what was acknowledged; of the requests behind it, a prefix may have survived.
  void Check() {
    const Model seen = Observed();
    if (crashed_) return;
    size_t survived = 0;
    while (!(model_ == seen) && !unanswered_.empty()) {
      model_.Apply(unanswered_.front());
      unanswered_.pop_front();
      ++survived;
    }
    EXPECT_EQ(model_.revision, seen.revision) << survived << " unanswered requests were tried";
    EXPECT_EQ(model_.compacted, seen.compacted);
    EXPECT_TRUE(model_.rows == seen.rows);
    EXPECT_EQ(model_.leases, seen.leases);
    unanswered_.clear();
    world_.member->lessor().CheckInvariants();
    world_.member->membership().CheckInvariants();
  }

  Request Random() {
    Request r;
    r.key = "k" + std::to_string(random_() % 20);
    r.end = "k" + std::to_string(random_() % 20);
    r.value = std::to_string(++values_) + std::string(random_() % 5 == 0 ? random_() % 3000 : 5, 'v');
    const uint64_t dice = random_() % 100;
    if (dice < 55) {
      r.kind = EntryKind::kPut;
      r.number = random_() % 4 == 0 ? static_cast<int64_t>(1 + random_() % 5) : 0;
    } else if (dice < 65) {
      r.kind = EntryKind::kDeleteRange;
    } else if (dice < 80) {
      r.kind = EntryKind::kTxn;
      r.number = static_cast<int64_t>(random_() % 4);
    } else if (dice < 84) {
      r.kind = EntryKind::kCompaction;
      r.number = std::max<int64_t>(1, model_.revision - static_cast<int64_t>(random_() % 20));
    } else {
      r.kind = dice < 94 ? EntryKind::kLeaseGrant : EntryKind::kLeaseRevoke;
      r.number = static_cast<int64_t>(1 + random_() % 5);
    }
    return r;
  }

  void Ask(const Request& request) {
    unanswered_.push_back(request);
    world_.member->Propose(
        request.kind, Encode(request), {}, [this](const Status& status, std::string_view bytes) {
          ASSERT_FALSE(unanswered_.empty());
          const Request answered = unanswered_.front();
          unanswered_.pop_front();
          ++acknowledged_total_;
          const bool granted = model_.Apply(answered);
          EXPECT_EQ(status.ok(), granted) << status << " kind " << static_cast<int>(answered.kind);
          if (!status.ok()) return;
          pb::PutResponse header_only;
          header_only.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
          EXPECT_EQ(header_only.header().revision(), model_.revision);
        });
  }

  void Load(uint64_t steps) {
    for (; steps > 0 && !crashed_ && world_.fatal.ok() && !testing::Test::HasFailure(); --steps) {
      const uint64_t dice = random_() % 100;
      if (dice < 40) {
        Ask(Random());
      } else if (dice < 65) {
        world_.Round();
      } else if (dice < 95) {
        world_.executor.Step();
      } else if (dice < 99) {
        world_.clock.Advance(world_.config.tick_nanos);
        world_.member->Tick();
      } else {
        world_.clock.Advance(int64_t{31} * 1'000'000'000);  // A round of purging.
        world_.RunUntilIdle();
        if (!crashed_) world_.member->Tick();
      }
    }
    // Only a crash may end it.
    EXPECT_TRUE(world_.fatal.ok() || crashed_) << world_.fatal;
  }

  MemberHarness world_;
  std::mt19937_64 random_;
  bool crashed_ = false;
  int64_t operations_left_ = INT64_MAX;
  Model model_;
  std::deque<Request> unanswered_;
  uint64_t values_ = 0;
  uint64_t acknowledged_total_ = 0;
};

TEST(MemberCrash, EveryAcknowledgedWriteSurvives) {
  const uint64_t first = TestSeed(1);
  const bool replay = std::getenv("QUORATE_TEST_SEED") != nullptr;
  uint64_t acknowledged = 0;
  for (uint64_t seed = first; seed < first + (replay ? 1 : 12) && !HasFailure(); ++seed) {
    SCOPED_TRACE("replay with QUORATE_TEST_SEED=" + std::to_string(seed));
    CrashRun run(seed);
    run.Run(12);
    acknowledged += run.acknowledged();
  }
  EXPECT_TRUE(replay || acknowledged > 1000u) << acknowledged;
}

}  // namespace
}  // namespace quorate::server
