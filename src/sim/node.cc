#include "sim/node.h"

#include <utility>

#include "base/check.h"
#include "server/continuity.h"
#include "server/own_directory.h"
#include "server/sync_failure.h"

namespace quorate::sim {
namespace {

// From an event to the end of its round.
constexpr int64_t kRoundNanos = 5 * kMicrosecond;

void CopyDirectory(SimFileSystem& files, const std::string& directory,
                   std::map<std::string, std::string>* out) {
  const auto names = files.List(directory);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    const auto info = files.Stat(path);
    if (!info.ok()) continue;
    if (info->directory) {
      (*out)[path + "/"] = "";
      CopyDirectory(files, path, out);
    } else if (const auto bytes = files.ReadAll(path); bytes.ok()) {
      (*out)[path] = *bytes;
    }
  }
}

}  // namespace

Node::Node(World* world, NodeOptions options)
    : world_(*world),
      options_(std::move(options)),
      random_(options_.seed),
      disk_random_(options_.seed + 1),
      files_(options_.seed + 2),
      executor_(
          world->scheduler, &disk_random_, [this] { SyncClock(); }, [this] { ScheduleRound(); }),
      transport_(world, this) {
  // A log takes a cut within a sector for damage, and real disks don't make one.
  files_.set_byte_tears(false);
  files_.set_before_operation([this](SimOperation op, const std::string&) { return OnDiskOperation(op); });
  if (options_.marks_failed_syncs)
    files_.set_on_failed_sync([this](const std::string& path) { MarkFailedSync(path); });
}

Node::~Node() {
  own_access_ = true;
  EndProcess();
}

// ---- life ----

server::Config Node::ConfigOfProcess() {
  server::Config config = options_.config;
  config.on_fatal = [this](const Status& status) { OnFatal(status); };
  config.lost_log.boot_id = "boot-" + std::to_string(boots_);
  config.on_applied = [this](const raft::Entry& entry) { OnApplied(entry); };
  return config;
}

// As the program does it. No process dies between the failure and the mark, and the mark needs no room on the
// disk: the run directory is in memory.
void Node::MarkFailedSync(const std::string& path) {
  const bool own_access = std::exchange(own_access_, true);
  const uint64_t capacity = files_.capacity_bytes();
  files_.set_capacity_bytes(UINT64_MAX);
  server::SyncFailureMark(&files_, options_.config.data_dir, ConfigOfProcess().lost_log).Set(path);
  files_.set_capacity_bytes(capacity);
  own_access_ = own_access;
}

// An etcd keeps nothing of what our own kind keeps beside its data, and trusts its disk at every start: a
// member that remembers nobody, has no mark, and finds that its last process left the directory as it is.
void Node::ForgetAsEtcd() {
  const bool own_access = std::exchange(own_access_, true);
  const server::LostLogOptions lost_log = ConfigOfProcess().lost_log;
  const std::string own = server::OwnDirectory(options_.config.data_dir);
  QUORATE_CHECK(files_.RemoveAll(own).ok());
  if (member_id_ != 0) {
    const server::Epoch epoch{1, 1, 1};
    QUORATE_CHECK(server::MakeOwnDirectory(&files_, own).ok());
    QUORATE_CHECK(files_.CreateDirectories(lost_log.run_dir, 0700).ok());
    QUORATE_CHECK(files_.WriteAtomically(own + "/epoch", server::EncodeEpoch(epoch), 0600).ok());
    const std::string run = lost_log.run_dir + "/" + server::RunRecordName(member_id_, own);
    const server::RunRecord record{epoch, lost_log.boot_id, {}, std::nullopt};
    QUORATE_CHECK(files_.WriteAtomically(run, server::EncodeRunRecord(record), 0600).ok());
  }
  own_access_ = own_access;
}

bool Node::Start() {
  QUORATE_CHECK(member_ == nullptr);
  ++life_;
  dying_ = false;
  SyncClock();
  if (options_.etcd_like) ForgetAsEtcd();
  auto opened =
      server::Member::Open(ConfigOfProcess(), {&files_, &clock_, &random_, &executor_}, &transport_);
  crashed_opening_ = dying_;
  if (!opened.ok() || dying_) {
    last_error_ = opened.ok() ? Unavailable("crashed while it was opened") : opened.status();
    world_.trace->Note(index(), "did-not-open", {{"error", last_error_.ToString()}});
    if (opened.ok()) member_ = *std::move(opened);
    if (!dying_) files_.Kill();  // Its files are closed with it.
    EndProcess();
    return false;
  }
  member_ = *std::move(opened);
  member_id_ = member_->id();
  cluster_life_ = std::make_unique<server::ClusterLife>(member_.get());
  member_->OnRemoved([this, life = life_] {
    world_.scheduler->After(0, [this, life] {
      if (!Lives(life)) return;
      removed_ = true;
      world_.trace->Note(index(), "ends-as-removed");
      Stop();
    });
  });
  world_.trace->Note(index(), "started", {{"life", life_}, {"term", member_->term()}});
  ScheduleTick();
  ScheduleRound();
  return true;
}

void Node::Crash(bool power) {
  if (!up()) {
    if (power && member_ == nullptr) {
      files_.Crash();
      Reboot();
    }
    return;
  }
  dying_ = true;
  operations_left_ = -1;
  world_.trace->Note(index(), power ? "loses-power" : "is-killed");
  if (power) {
    files_.Crash();
    Reboot();
  } else {
    files_.Kill();
  }
  // One of its own calls may be on the stack.
  world_.scheduler->After(0, [this, life = life_] {
    if (life != life_) return;
    EndProcess();
    if (options_.on_end) options_.on_end(this);
  });
}

void Node::EndProcess() {
  transport_.Reset();
  executor_.Drop();
  sessions_.clear();
  cluster_life_.reset();
  member_.reset();
  inbox_.clear();
  paused_ = false;
  ++pauses_;
  dying_ = false;
}

void Node::Stop() {
  if (!up()) return;
  SyncClock();
  sessions_.clear();
  cluster_life_.reset();
  executor_.RunUntilIdle();
  const Status closed = member_->Close();
  world_.trace->Note(index(), "stopped", {{"status", closed.ToString()}});
  if (!closed.ok() && !dying_ && world_.now() > excused_until_) {
    world_.trace->Fail("clean-end", ActorName(index()) + " could not be closed: " + closed.ToString());
  }
  if (!dying_) files_.Kill();
  EndProcess();
  if (options_.on_end) {
    world_.scheduler->After(0, [this] {
      if (member_ == nullptr) options_.on_end(this);
    });
  }
}

void Node::Terminate() {
  Run([this](server::Member& member) {
    world_.trace->Note(index(), "terminates");
    member.HandOver([this, life = life_] {
      world_.scheduler->After(0, [this, life] {
        if (Lives(life)) Stop();
      });
    });
  });
}

void Node::Pause(int64_t nanos) {
  if (!up() || paused_) return;
  world_.trace->Note(index(), "pauses", {{"ms", nanos / kMillisecond}});
  paused_ = true;
  executor_.set_paused(true);
  world_.scheduler->After(nanos, [this, pause = ++pauses_] {
    if (pause == pauses_) Resume();
  });
}

void Node::Resume() {
  if (!paused_) return;
  paused_ = false;
  world_.trace->Note(index(), "resumes");
  executor_.set_paused(false);
  if (std::exchange(tick_missed_, false)) {
    Run([this](server::Member&) { Tick(); });
  }
  std::vector<std::function<void(server::Member&)>> inbox;
  inbox.swap(inbox_);
  for (auto& fn : inbox) Run(std::move(fn));
  ScheduleRound();
}

void Node::OnFatal(const Status& status) {
  if (!up()) return;
  world_.trace->Note(index(), "fatal", {{"status", status.ToString()}});
  if (world_.now() > excused_until_) {
    world_.trace->Fail("no-death-without-cause", ActorName(index()) + " ended itself: " + status.ToString());
  }
  // After a failed sync the page cache shows what the disk has not; the next process must not build on that.
  Crash(false);
}

// ---- events ----

void Node::SyncClock() {
  const int64_t passed = world_.now() - clock_synced_at_;
  clock_synced_at_ = world_.now();
  clock_.Advance(passed + passed / 1000 * options_.clock_rate_ppm / 1000);
}

int64_t Node::LocalNanos() {
  SyncClock();
  return clock_.MonotonicNanos();
}

void Node::Run(std::function<void(server::Member&)> fn) {
  if (!up()) return;
  if (paused_) {
    inbox_.push_back(std::move(fn));
    return;
  }
  SyncClock();
  fn(*member_);
  AfterEvent();
  ScheduleRound();
}

void Node::ScheduleTick() {
  const int64_t nanos =
      options_.config.tick_nanos - options_.config.tick_nanos / 1000 * options_.clock_rate_ppm / 1000;
  world_.scheduler->After(nanos, [this, life = life_] {
    if (!Lives(life)) return;
    ScheduleTick();
    if (paused_) {
      tick_missed_ = true;
      return;
    }
    Run([this](server::Member&) { Tick(); });
  });
}

void Node::Tick() {
  transport_.Probe();
  member_->Tick();
  if (up()) cluster_life_->Tick();
  if (!up()) return;
  if (const Status broken = member_->CheckInvariants(); !broken.ok()) {
    world_.trace->Fail("own-invariants", ActorName(index()) + ": " + broken.ToString());
  }
}

void Node::ScheduleRound() {
  if (round_scheduled_ || !up()) return;
  round_scheduled_ = true;
  world_.scheduler->After(kRoundNanos, [this] {
    round_scheduled_ = false;
    if (up() && !paused_) Round();
  });
}

void Node::Round() {
  SyncClock();
  executor_.RunCompletions();
  if (up()) member_->EndOfRound();
  AfterEvent();
  if (up() && (member_->WantsRound() || executor_.has_completions())) ScheduleRound();
}

void Node::AfterEvent() {
  if (!up()) return;
  world_.raft->OnTerm(index(), life_, member_->term());
  if (member_->is_leader()) world_.raft->OnLeader(index(), member_id_, member_->term());
  if (!set_back_ && member_->lost_log().quarantined()) {
    world_.trace->Fail("no-quarantine-without-cause",
                       ActorName(index()) + ": " + member_->lost_log().quarantine_reason());
  }
}

void Node::OnApplied(const raft::Entry& entry) {
  if (!up()) return;
  // A database that came ahead of the log holds later entries already.
  const bool ahead = member_->backend().consistent_index() > entry.index;
  world_.truth->OnApplied(index(), entry, ahead ? -1 : member_->store().current_revision(),
                          {member_->auth().enabled(), member_->auth().revision()});
}

uint64_t Node::Keep(std::unique_ptr<Session> session) {
  const uint64_t id = next_session_++;
  sessions_[id] = std::move(session);
  return id;
}

Session* Node::Find(uint64_t session) {
  const auto it = sessions_.find(session);
  return it == sessions_.end() ? nullptr : it->second.get();
}

// ---- the machine ----

// What lies in the run directory is gone.
void Node::Reboot() {
  ++boots_;
  const bool own_access = std::exchange(own_access_, true);
  QUORATE_CHECK(files_.RemoveAll(options_.config.lost_log.run_dir).ok());
  own_access_ = own_access;
}

void Node::CrashAtOperation(int64_t nth, bool power) {
  operations_left_ = nth;
  ordered_power_loss_ = power;
}

Status Node::OnDiskOperation(SimOperation op) {
  if (own_access_) return absl::OkStatus();
  if (dying_) return Unavailable("the process is dead");
  if (operations_left_ < 0 || !Changes(op) || --operations_left_ > 0) return absl::OkStatus();
  operations_left_ = -1;
  if (member_ != nullptr) {
    Crash(ordered_power_loss_);
  } else {
    // While it is being opened.
    world_.trace->Note(index(), "crashes-while-opening");
    dying_ = true;
    if (ordered_power_loss_) {
      files_.Crash();
      Reboot();
    } else {
      files_.Kill();
    }
  }
  return Unavailable("crashed");
}

std::map<std::string, std::string> Node::CopyDisk() {
  own_access_ = true;
  std::map<std::string, std::string> copy;
  CopyDirectory(files_, options_.config.data_dir, &copy);
  own_access_ = false;
  return copy;
}

void Node::ReplaceDisk(const std::map<std::string, std::string>& copy, bool reboot) {
  QUORATE_CHECK(member_ == nullptr);
  set_back_ = true;
  world_.trace->Note(index(), "disk-set-back", {{"reboot", reboot}});
  if (reboot) Reboot();
  own_access_ = true;
  QUORATE_CHECK(files_.RemoveAll(options_.config.data_dir).ok());
  QUORATE_CHECK(files_.CreateDirectories(options_.config.data_dir, 0700).ok());
  for (const auto& [path, bytes] : copy) {
    const Status status = path.ends_with('/')
                              ? files_.CreateDirectories(path.substr(0, path.size() - 1), 0700)
                              : files_.WriteAtomically(path, bytes, 0600);
    QUORATE_CHECK(status.ok());
  }
  own_access_ = false;
}

}  // namespace quorate::sim
