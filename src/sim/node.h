// One machine: a disk, a clock that is not quite right, and, while it is up, a process with a Member in it.
// The process is driven as the program drives it: events, then the end of the round; a tick each heartbeat
// interval. It can be killed, lose its power at any operation of its disk, be stopped for a while, and come
// back.
//
// Everything that reaches the member goes through Run, and nothing that it says leaves after its end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env_sim.h"
#include "server/cluster_life.h"
#include "server/member.h"
#include "sim/disk_executor.h"
#include "sim/node_transport.h"
#include "sim/world.h"

namespace quorate::sim {

// What a watcher's stream leaves at the process: it goes before the member.
class Session {
 public:
  virtual ~Session() = default;
};

struct NodeOptions {
  int index = 0;
  uint64_t seed = 0;
  server::Config config;
  int64_t clock_rate_ppm = 0;  // How much too fast it runs.
  // It answers nothing that no etcd would, and its next process knows no more than an etcd's.
  bool etcd_like = false;
  bool marks_failed_syncs = true;
  // The process has ended, by itself or by a fault. Runs later, in an event of its own.
  std::function<void(Node*)> on_end;
};

class Node {
 public:
  Node(World* world, NodeOptions options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // ---- life ----
  // False when the member can't be opened; last_error() says why.
  bool Start();
  // The process is gone; with `power` what was not synced is too. Also while one of its events runs.
  void Crash(bool power);
  // A clean end, at once.
  void Stop();
  // Asks the member to hand over and end, as SIGTERM does.
  void Terminate();
  // The process stands still for that long.
  void Pause(int64_t nanos);

  bool up() const { return member_ != nullptr && !dying_; }
  bool paused() const { return paused_; }
  bool removed() const { return removed_; }
  uint64_t life() const { return life_; }
  int index() const { return options_.index; }
  uint64_t member_id() const { return member_id_; }
  // The last start ended in a crash that was ordered.
  bool crashed_opening() const { return crashed_opening_; }
  bool excused() const { return world_.now() <= excused_until_; }
  const Status& last_error() const { return last_error_; }
  server::Member& member() { return *member_; }
  server::ClusterLife& cluster_life() { return *cluster_life_; }
  server::Config& config() { return options_.config; }  // For the next start.

  // Runs `fn` in the process, now or when it is no longer stopped, then ends the round soon; not at all when
  // the process has ended by then.
  void Run(std::function<void(server::Member&)> fn);
  // True while the process that is running now is the one of that life.
  bool Lives(uint64_t life) const { return up() && life == life_; }
  // Kept until the process ends. Returns a handle for Forget.
  uint64_t Keep(std::unique_ptr<Session> session);
  void Forget(uint64_t session) { sessions_.erase(session); }
  Session* Find(uint64_t session);

  // ---- the machine ----
  SimFileSystem& files() { return files_; }
  DiskExecutor& executor() { return executor_; }
  NodeTransport& transport() { return transport_; }
  // The machine loses its power at the nth operation from now that changes the disk, or the process dies
  // there.
  void CrashAtOperation(int64_t nth, bool power);
  void JumpWallClock(int64_t nanos) { clock_.AdvanceWall(nanos); }
  int64_t clock_rate_ppm() const { return options_.clock_rate_ppm; }
  int64_t LocalNanos();
  // Everything below the data directory; and back again, as an image set back in time is.
  // A fault was ordered whose consequence may be the end of the process until that moment: without one it may
  // not end.
  void Excuse(int64_t until) { excused_until_ = std::max(excused_until_, until); }
  // The nth operation of that kind from now fails.
  void FailOperation(SimOperation operation, uint64_t nth) {
    Excuse(INT64_MAX);  // Who knows when the nth comes.
    files_.InjectError(operation, nth);
  }
  std::map<std::string, std::string> CopyDisk();
  // `reboot`: what does not survive a boot is gone, too.
  void ReplaceDisk(const std::map<std::string, std::string>& copy, bool reboot);
  bool etcd_like() const { return options_.etcd_like; }
  // Its disk was set back once: it may find that out.
  bool set_back() const { return set_back_; }
  bool quarantined() { return up() && member_->lost_log().quarantined(); }

  World& world() { return world_; }

 private:
  Status OnDiskOperation(SimOperation op);
  void OnFatal(const Status& status);
  void MarkFailedSync(const std::string& path);
  void ForgetAsEtcd();
  void OnApplied(const raft::Entry& entry);
  void ScheduleTick();
  void Tick();
  void ScheduleRound();
  void Round();
  void SyncClock();
  void AfterEvent();
  void EndProcess();
  void Reboot();
  void Resume();
  server::Config ConfigOfProcess();

  World& world_;
  NodeOptions options_;
  SeededRandom random_;       // The member's.
  SeededRandom disk_random_;  // Of durations.
  SimFileSystem files_;
  SimClock clock_;
  DiskExecutor executor_;
  NodeTransport transport_;

  std::unique_ptr<server::Member> member_;
  std::unique_ptr<server::ClusterLife> cluster_life_;
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  uint64_t next_session_ = 1;
  uint64_t life_ = 0;
  uint64_t member_id_ = 0;
  Status last_error_;
  bool dying_ = false;  // It has ended, and is still on the stack.
  bool paused_ = false;
  bool removed_ = false;
  bool round_scheduled_ = false;
  uint64_t pauses_ = 0;
  std::vector<std::function<void(server::Member&)>> inbox_;  // While paused.
  int64_t clock_synced_at_ = 0;
  int64_t excused_until_ = -1;
  bool crashed_opening_ = false;
  bool set_back_ = false;
  uint64_t boots_ = 1;
  bool own_access_ = false;       // The simulator itself reads or writes the disk.
  bool tick_missed_ = false;      // While paused.
  int64_t operations_left_ = -1;  // Until the crash that was ordered; -1: none was.
  bool ordered_power_loss_ = false;
};

}  // namespace quorate::sim
