// Any moment of a member's life, brought back from its backups and its archived log.
#include "offline/restore_at.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "backup/backup_keeper.h"
#include "backup/log_archiver.h"
#include "backup/log_segment.h"
#include "backup/utc_time.h"
#include "bolt/db.h"
#include "offline/kv_hash.h"
#include "offline/replay.h"
#include "offline/verify_backup.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::offline {
namespace {

using testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;
const std::string kBackups = "/backups";

class RestoreAtTest : public testing::Test {
 protected:
  RestoreAtTest() : live_(3), disk_(4), random_(5) {
    EXPECT_TRUE(disk_.CreateDirectories(kBackups, 0700).ok());
    live_.config.on_applied = [this](const raft::Entry& entry) {
      if (archiver_ != nullptr) archiver_->OnApplied(entry);
    };
  }
  ~RestoreAtTest() override { Forget(); }

  void Start(int64_t interval_nanos = 1'800 * kSecond) {
    ASSERT_TRUE(live_.Open().ok());
    life_ = std::make_unique<server::ClusterLife>(live_.member.get());
    const Env env{&disk_, &live_.clock, &live_.random, &live_.executor};
    archiver_ = std::make_unique<backup::LogArchiver>(live_.member.get(), env, kBackups);
    keeper_ = std::make_unique<backup::BackupKeeper>(
        live_.member.get(), &life_->peer_service(), env,
        backup::KeeperOptions{kBackups, interval_nanos, *backup::ParseRetention("100h")}, archiver_.get());
    ASSERT_TRUE(live_.BecomeReady());
  }
  void Forget() {
    keeper_.reset();
    archiver_.reset();
    life_.reset();
  }
  void Restart(bool power) {
    Forget();
    live_.Crash(power);
    Start();
  }
  void Tick(int count = 1) {
    for (; count > 0; --count) {
      live_.Tick();
      keeper_->Tick();
      archiver_->Tick();
      live_.RunUntilIdle();
    }
  }
  // A change of some kind; remembers the hash of the revision it leads to.
  void Change(int n) {
    const std::string key = "key" + std::to_string(n % 9);
    etcdserverpb::TxnRequest txn;
    switch (n % 7) {
      case 0:
        ASSERT_TRUE(live_.Delete(key).ok());
        break;
      case 1:
        ASSERT_TRUE(live_.Grant(1000 + n, 100'000).ok());
        ASSERT_TRUE(live_.Put(key, "leased", 1000 + n).ok());
        break;
      case 2:
        for (const char* each : {"a", "b", "c"}) {
          auto* put = txn.add_success()->mutable_request_put();
          put->set_key(each);
          put->set_value(key);
        }
        ASSERT_TRUE(live_.Txn(txn).ok());
        break;
      case 3:
        if (n <= 20) break;
        ASSERT_TRUE(live_.Compact(Revision() - 10, true).ok());
        break;
      default:
        ASSERT_TRUE(live_.Put(key, "value" + std::to_string(n)).ok());
    }
    // A compaction changes the hash of a revision: the first state that has it, and the last.
    const uint32_t hash = live_.HashKv();
    first_hashes_.emplace(Revision(), hash);
    last_hashes_[Revision()] = hash;
    Tick();
  }
  void Live(int changes) {
    for (int i = 0; i < changes; ++i) Change(next_++);
  }
  // Long enough that a row is there of nothing but this state.
  int64_t Rest() {
    Tick(25);
    const int64_t now = live_.clock.WallNanos();
    Tick(5);
    return now;
  }
  // With a backup that stays: of each hour the newest does.
  void NextHour() {
    const size_t before = Backups().size();
    live_.clock.Advance(3'600 * kSecond);
    Tick(60);
    ASSERT_EQ(Backups().size(), before + 1);
  }
  int64_t Revision() { return live_.member->store().current_revision(); }

  RestoreAtOptions Options(const Moment& at) {
    RestoreAtOptions options;
    options.backup_dir = kBackups;
    options.at = at;
    options.member.name = "m1";
    options.member.data_dir = "/restored";
    options.member.peer_urls = {"http://localhost:2380"};
    options.member.initial_cluster = "m1=http://localhost:2380";
    return options;
  }
  StatusOr<RestoredAt> To(const Moment& at) {
    EXPECT_TRUE(disk_.RemoveAll("/restored").ok());
    return RestoreAt(&disk_, &live_.clock, &random_, Options(at), {});
  }
  uint32_t RestoredHash() {
    const auto hash = ComputeKvHash(&disk_, "/restored/member/snap/db", 0, {});
    EXPECT_TRUE(hash.ok()) << hash.status();
    return hash.ok() ? hash->hash : 0;
  }
  void ExpectAt(const Moment& at, int64_t revision) {
    SCOPED_TRACE("revision " + std::to_string(revision));
    const auto restored = To(at);
    ASSERT_TRUE(restored.ok()) << restored.status();
    EXPECT_EQ(restored->revision, revision);
    EXPECT_EQ(RestoredHash(), (at.revision ? first_hashes_ : last_hashes_)[revision]);
  }
  // What another member archived in a directory of its own: the same log, and rows by a clock that is
  // `ahead`.
  void CopyArchive(const std::string& directory, int64_t ahead_nanos) {
    ASSERT_TRUE(disk_.CreateDirectories(directory, 0700).ok());
    const auto names = *disk_.List(kBackups);
    for (const std::string& name : names) {
      std::string bytes = *disk_.ReadAll(kBackups + "/" + name);
      if (name.ends_with(".index")) {
        std::string rows;
        for (std::string_view rest = bytes; !rest.empty();) {
          const size_t end = rest.find('\n');
          auto row = *backup::DecodeRow(rest.substr(0, end));
          row.unix_nanos += ahead_nanos;
          rows += backup::EncodeRow(row);
          rest.remove_prefix(end + 1);
        }
        bytes = rows;
      }
      ASSERT_TRUE(disk_.WriteAtomically(directory + "/" + name, bytes, 0600).ok());
    }
  }
  // The newest backup, and the number of them.
  std::vector<backup::BackupName> Backups() { return *backup::ListBackups(&disk_, kBackups, 0); }
  std::vector<backup::SegmentName> Segments() { return *backup::ListSegments(&disk_, kBackups, 0); }

  server::MemberHarness live_;
  SimFileSystem disk_;
  SeededRandom random_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<backup::LogArchiver> archiver_;
  std::unique_ptr<backup::BackupKeeper> keeper_;
  std::map<int64_t, uint32_t> first_hashes_;
  std::map<int64_t, uint32_t> last_hashes_;
  int next_ = 1;
};

TEST_F(RestoreAtTest, AnyRevision) {
  Start();
  Live(60);
  NextHour();
  Live(20);
  Restart(false);
  Live(60);
  NextHour();
  Restart(true);
  Live(60);
  Rest();
  ASSERT_EQ(Backups().size(), 3u);
  const int64_t oldest = Backups().front().revision;
  int tried = 0;
  const auto seen = first_hashes_;
  for (const auto& [revision, hash] : seen) {
    if (revision < oldest || revision % 5 != 0) continue;
    ExpectAt({revision, {}}, revision);
    ++tried;
  }
  EXPECT_GT(tried, 15);
  ExpectAt({Revision(), {}}, Revision());
  ExpectAt({}, Revision());
}

TEST_F(RestoreAtTest, AnyTime) {
  Start(300 * kSecond);
  std::map<int64_t, int64_t> revision_at;
  for (int i = 0; i < 5; ++i) {
    Live(13);
    revision_at[Rest()] = Revision();
  }
  ASSERT_EQ(Backups().size(), 1u);
  for (const auto& [time, revision] : revision_at) {
    ExpectAt({{}, time}, revision);
    // Exactly the time of a row, and much later.
    const auto restored = To({{}, time});
    ExpectAt({{}, restored->unix_nanos}, revision);
  }
  ExpectAt({{}, revision_at.rbegin()->first + 1'000'000 * kSecond}, Revision());
}

// The members of one new cluster, restored from a directory each.
TEST_F(RestoreAtTest, OtherStatesMakeOtherClusters) {
  Start(300 * kSecond);
  Live(60);
  const int64_t time = Rest();
  Live(20);
  Rest();
  const std::vector<std::string> directories = {kBackups, "/ahead", "/behind"};
  CopyArchive(directories[1], 5 * kSecond);
  CopyArchive(directories[2], -5 * kSecond);
  const auto restore = [&](const std::string& directory, const Moment& at) {
    RestoreAtOptions options = Options(at);
    options.backup_dir = directory;
    EXPECT_TRUE(disk_.RemoveAll("/restored").ok());
    const auto restored = RestoreAt(&disk_, &live_.clock, &random_, options, {});
    EXPECT_TRUE(restored.ok()) << restored.status();
    if (restored.ok() && options.member.revision_bump == 0) {
      EXPECT_EQ(restored->kv_hash, RestoredHash());
    }
    return *restored;
  };
  // One command, three states: three clusters, which refuse each other.
  std::map<uint64_t, uint64_t> clusters;
  for (const std::string& directory : directories) {
    const RestoredAt restored = restore(directory, {{}, time});
    EXPECT_EQ(clusters.emplace(restored.index, restored.restored.cluster_id).second, true) << directory;
  }
  ASSERT_EQ(clusters.size(), 3u);
  for (const auto& [index, id] : clusters) {
    for (const auto& [other_index, other_id] : clusters) EXPECT_EQ(index == other_index, id == other_id);
    // What the first host's restore names is one state, and one cluster, on all.
    for (const std::string& directory : directories) {
      const RestoredAt again = restore(directory, {{}, {}, index});
      EXPECT_EQ(again.index, index);
      EXPECT_EQ(again.restored.cluster_id, id);
    }
  }
  RestoreAtOptions bumped = Options({{}, {}, clusters.begin()->first});
  bumped.member.revision_bump = 1000;
  bumped.member.mark_compacted = true;
  EXPECT_TRUE(disk_.RemoveAll("/restored").ok());
  const auto other = RestoreAt(&disk_, &live_.clock, &random_, bumped, {});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(other->restored.cluster_id, clusters.begin()->second);
}

// Leases, users and alarms change without a revision: an index counts them, a revision does not.
TEST_F(RestoreAtTest, AnIndexIsExact) {
  Start(300 * kSecond);
  Live(10);
  Tick(20);
  ASSERT_TRUE(live_.Grant(77, 1000).ok());
  Tick(20);
  const uint64_t index = live_.member->applied_index();
  Live(10);
  Rest();
  const auto restored = To({{}, {}, index});
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->index, index);
  const auto before = To({restored->revision, {}});
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_LT(before->index, index);
  EXPECT_NE(before->restored.cluster_id, restored->restored.cluster_id);
  const Status later = To({{}, {}, 1'000'000}).status();
  EXPECT_EQ(later.code(), absl::StatusCode::kOutOfRange) << later;
  EXPECT_THAT(std::string(Message(later)), HasSubstr("and not raft index 1000000"));
  EXPECT_TRUE(absl::IsNotFound(To({{}, {}, 1}).status()));
}

TEST_F(RestoreAtTest, ALogThatIsNotThereIsNamed) {
  Start(300 * kSecond);
  const auto live = [&](int changes) {
    Live(changes);
    Tick(15);
    archiver_->Rotate();
  };
  live(10);
  const int64_t before = Rest();
  const int64_t before_revision = Revision();
  live(20);
  live(20);
  const int64_t after = Rest();
  const int64_t newest = Revision();
  ExpectAt({newest, {}}, newest);
  const auto segments = Segments();
  ASSERT_GE(segments.size(), 3u);
  const std::string lost = kBackups + "/" + backup::SegmentStem(segments[segments.size() - 2]);
  ASSERT_TRUE(disk_.Remove(lost + ".log").ok());
  for (const Moment& at : {Moment{newest, {}}, Moment{{}, after}, Moment{}}) {
    const Status status = To(at).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("are missing, before log-"));
    EXPECT_FALSE(disk_.Exists("/restored"));
  }
  ExpectAt({before_revision, {}}, before_revision);
  ExpectAt({{}, before}, before_revision);
}

TEST_F(RestoreAtTest, MomentsThatNoBackupReaches) {
  Start();
  Live(30);
  Rest();
  const std::string later = Message(To({Revision() + 5, {}}).status()).data();
  EXPECT_THAT(later, HasSubstr("reaches revision " + std::to_string(Revision())));
  EXPECT_THAT(later, HasSubstr("nothing later was archived"));
  const Status early = To({{}, backup::ParseUtc("2020-01-01T00:00:00Z").value()}).status();
  EXPECT_TRUE(absl::IsNotFound(early)) << early;
  EXPECT_THAT(std::string(Message(early)), HasSubstr("the oldest is of revision"));
  EXPECT_FALSE(disk_.Exists("/restored"));
  RestoreAtOptions elsewhere = Options({});
  elsewhere.backup_dir = "/nowhere";
  EXPECT_TRUE(absl::IsNotFound(RestoreAt(&disk_, &live_.clock, &random_, elsewhere, {}).status()));
}

// Users, roles, an alarm and the cluster's version are in the log, too.
TEST_F(RestoreAtTest, MoreThanKeys) {
  Start(300 * kSecond);
  Live(3);
  Tick(20);
  ASSERT_EQ(Backups().size(), 1u);
  etcdserverpb::AuthUserAddRequest user;
  user.set_name("root");
  user.set_password("secret");
  ASSERT_TRUE(live_.Ask<etcdserverpb::AuthUserAddResponse>(server::EntryKind::kAuthUserAdd, user).ok());
  ASSERT_TRUE(live_.Grant(77, 1000).ok());
  ASSERT_TRUE(live_.Alarm(etcdserverpb::AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE, 7).ok());
  Rest();
  const auto restored = To({});
  ASSERT_TRUE(restored.ok()) << restored.status();
  bolt::Options read_only;
  read_only.read_only = true;
  const auto db = bolt::Db::Open(disk_, "/restored/member/snap/db", read_only);
  ASSERT_TRUE(db.ok());
  const auto tx = (*db)->BeginRead();
  const auto rows = [&](const char* bucket) {
    size_t count = 0;
    auto cursor = (*tx->FindBucket(bucket))->NewCursor();
    EXPECT_TRUE(cursor.SeekFirst().ok());
    while (cursor.Valid()) {
      ++count;
      EXPECT_TRUE(cursor.Next().ok());
    }
    return count;
  };
  EXPECT_EQ(rows("authUsers"), 1u);
  EXPECT_EQ(rows("alarm"), 1u);
  EXPECT_EQ(rows("lease"), 2u);
  EXPECT_EQ(rows("members"), 1u);
}

TEST_F(RestoreAtTest, TheDrillFindsWhatIsWrong) {
  Start();
  Live(60);
  NextHour();
  Live(30);
  NextHour();
  Live(10);
  Rest();
  ASSERT_EQ(Backups().size(), 3u);
  const std::string stem = kBackups + "/" + backup::Stem(Backups().front());
  const auto verify = [&] {
    return VerifyBackup(&disk_, &live_.clock, &random_, {stem + ".db", "/scratch"}, {});
  };
  const auto good = verify();
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->revision, Backups().front().revision);
  EXPECT_TRUE(good->hash_compared);
  EXPECT_TRUE(good->has_log);
  EXPECT_EQ(good->log_revision, Revision());
  EXPECT_EQ(good->hashes_compared, Backups().size() - 1);
  EXPECT_FALSE(disk_.Exists("/scratch"));

  // The first one ends with the backup.
  const std::string log = kBackups + "/" + backup::SegmentStem(Segments().at(1)) + ".log";
  const struct {
    const char* about;
    std::string path;
    uint64_t offset;
    const char* text;
  } kDamages[] = {{"a page", stem + ".db", 5000, "it was damaged"},
                  {"the digest", stem + ".db", disk_.Stat(stem + ".db")->size - 1, "it was damaged"},
                  {"the log", log, disk_.Stat(log)->size - 20, "is damaged at offset"}};
  for (const auto& damage : kDamages) {
    SCOPED_TRACE(damage.about);
    ASSERT_TRUE(disk_.FlipBit(damage.path, damage.offset, 2).ok());
    EXPECT_THAT(std::string(Message(verify().status())), HasSubstr(damage.text));
    EXPECT_FALSE(disk_.Exists("/scratch"));
    ASSERT_TRUE(disk_.FlipBit(damage.path, damage.offset, 2).ok());
  }
  // Another hash than the server noted.
  const std::string note = *disk_.ReadAll(stem + ".json");
  auto other = *backup::DecodeNote(note);
  other.kv_hash = *other.kv_hash + 1;
  ASSERT_TRUE(disk_.WriteAtomically(stem + ".json", backup::EncodeNote(other), 0600).ok());
  EXPECT_THAT(std::string(Message(verify().status())), HasSubstr("the server noted"));
  ASSERT_TRUE(disk_.WriteAtomically(stem + ".json", note, 0600).ok());
  EXPECT_TRUE(verify().ok());
}

TEST(Moment, IsARevisionOrATime) {
  EXPECT_EQ(ParseMoment("4711")->revision, 4711);
  EXPECT_EQ(ParseMoment("index:5012")->index, 5012u);
  EXPECT_EQ(ParseMoment("2026-01-01T00:00:00Z")->unix_nanos, SimClock::kWallStartNanos);
  for (const char* bad : {"", "0", "-5", "12x", "99999999999999999999", "yesterday", "2026-01-01",
                          "index:", "index:0", "index:x", "index:-1", "Index:5"}) {
    EXPECT_FALSE(ParseMoment(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace quorate::offline
