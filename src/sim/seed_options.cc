// What a seed means: the settings of its simulation and the schedule of its faults.
#include <algorithm>

#include "sim/simulation.h"

namespace quorate::sim {

SimulationOptions OptionsForSeed(uint64_t seed) {
  SeededRandom random(seed * 7 + 3);
  SimulationOptions options;
  options.seed = seed;
  const uint64_t dice = random.Below(10);
  options.members = dice < 2 ? 1 : dice < 8 ? 3 : 5;
  options.member_changes = options.members > 1 && random.Below(3) == 0;
  options.disk_faults = random.Below(2) == 0;
  options.fault_interval = static_cast<int64_t>(1 + random.Below(12)) * 300 * kMillisecond;
  options.think_nanos = static_cast<int64_t>(2 + random.Below(60)) * kMillisecond;
  options.key_clients = 2 + static_cast<int>(random.Below(5));
  options.lease_clients = 1 + static_cast<int>(random.Below(2));
  options.watchers = 1 + static_cast<int>(random.Below(4));
  if (random.Below(4) == 0) options.etcd_like_member = static_cast<int>(random.Below(3));
  // Drawn apart, so that what came before stays the same for a seed.
  SeededRandom more(seed * 31 + 7);
  options.bad_bytes = options.members > 1 && more.Below(3) == 0;
  if (more.Below(4) == 0) options.quota_bytes = static_cast<int64_t>(120'000 + more.Below(400'000));
  options.users = more.Below(4) == 0;
  return options;
}

SimulationOptions OptionsWithSetBacks(uint64_t seed) {
  SimulationOptions options = OptionsForSeed(seed);
  options.members = std::max(options.members, 3);  // What one member alone has lost is lost.
  options.disks_set_back = true;
  options.strict_probation = seed % 2 == 0;
  options.member_changes = false;
  // Who is asked must answer, or the way out through memory is none.
  if (!options.strict_probation) options.etcd_like_member = -1;
  return options;
}

std::vector<Fault> PlanFor(const SimulationOptions& options) {
  if (!options.faults) return {};
  PlanOptions plan;
  plan.seed = options.seed * 11 + 5;
  plan.members = options.members;
  plan.begin = 2 * kSecond;
  plan.end = plan.begin + options.load_nanos;
  plan.interval = options.fault_interval;
  plan.disk_faults = options.disk_faults;
  plan.member_changes = options.member_changes;
  plan.bad_bytes = options.bad_bytes;
  plan.disks_set_back = options.disks_set_back;
  plan.undisturbed = !options.strict_probation;
  return MakePlan(plan);
}

}  // namespace quorate::sim
