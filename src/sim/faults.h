// What goes wrong, when, and for how long: a schedule made from a seed before the simulation begins. Each
// fault heals by itself, so that any one can be left out of the schedule and the rest still means something.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::sim {

enum class FaultKind : uint8_t {
  kPowerLoss,         // Member a; back after `duration`.
  kKill,              // The same without losing what was not synced.
  kCrashAtOperation,  // Member a loses its power at the nth change of its disk from then (`number`).
  kKillAtOperation,
  kTerminate,  // A clean restart.
  kPowerLossOfAll,
  kPause,       // Member a stands still.
  kIsolate,     // Member a from all members, both ways.
  kOneWay,      // Nothing arrives from a at b.
  kDeaf,        // Member a hears no member.
  kMute,        // No member hears a.
  kSplit,       // Members below `number` from the rest.
  kFlap,        // The line between a and b goes and comes.
  kBadNetwork,  // Loss, duplicates, reordering, delay between all; `number` says how bad, in thousandths.
  kBadBytes,    // Frames between all are cut or changed on their way; `number` of a thousand.
  kCutClients,  // Member a from all clients.
  kSlowDisk,    // `number` times as slow.
  kFullDisk,    // Member a has `number` bytes left.
  kFailedSync,  // The nth sync of a from then fails.
  kFailedWrite,
  kWallJump,     // The wall clock of a jumps by `number` nanoseconds; it stays so.
  kDiskSetBack,  // Member a is stopped, and comes back with the disk as it was `number` nanoseconds ago, or
                 // with an empty one when that was before the beginning; with b == 0 after a boot.
  kAddLearner,   // On a fresh machine.
  kPromote,      // The learner.
  kRemove,       // Member a.
};
std::string_view FaultName(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kPowerLoss;
  int64_t at = 0;
  int64_t duration = 0;
  int a = 0;
  int b = 0;
  int64_t number = 0;

  friend bool operator==(const Fault&, const Fault&) = default;
};
// "12.250s power-loss m1 for 0.800s".
std::string Describe(const Fault& fault);

struct PlanOptions {
  uint64_t seed = 0;
  int members = 3;
  int64_t begin = 0;     // No fault before,
  int64_t end = 0;       // and all healed by then.
  int64_t interval = 0;  // Mean time between two faults.
  bool disk_faults = true;
  bool member_changes = false;
  bool bad_bytes = false;
  // Instead of what loses power: the disk of one member is set back in time.
  bool disks_set_back = false;
  // With it: nothing else happens, so that everybody can be asked what he remembers.
  bool undisturbed = false;
};
// In order of time.
std::vector<Fault> MakePlan(const PlanOptions& options);

}  // namespace quorate::sim
