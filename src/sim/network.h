// The wires between members, and between clients and members. A message is a task that runs at the receiver's
// when it arrives. What is sent over one channel arrives in order, unless reordering is asked for; anything
// may be lost, late, or arrive twice, as the conditions say. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/env.h"
#include "sim/scheduler.h"

namespace quorate::sim {

// Chances in a thousand, for messages between members.
struct NetworkConditions {
  int loss = 0;
  int duplication = 0;
  int reordering = 0;
  int damage = 0;  // Of a frame's bytes.
  int64_t delay_least = 50 * kMicrosecond;
  int64_t delay_spread = 200 * kMicrosecond;
};

class Network {
 public:
  using Task = std::function<void()>;

  Network(Scheduler* scheduler, Random* random) : scheduler_(*scheduler), random_(*random) {}

  NetworkConditions& conditions() { return conditions_; }

  // Endpoints are actors (trace.h). One direction; calls nest.
  void Block(int from, int to);
  void Unblock(int from, int to);
  bool blocked(int from, int to) const { return blocked_.contains({from, to}); }

  // A datagram between members: `lost`, which may be empty, runs at once when it is known not to arrive (the
  // link is down), and never when it is lost in silence.
  void Send(int from, int to, int channel, Task arrive, Task lost = {});
  // A message of a connection: no loss but by a cut, no duplicate, in order. `broken` runs when it can't
  // arrive.
  void SendReliably(int from, int to, int channel, int64_t extra_delay, Task arrive, Task broken = {});

  // What a broken line does to the bytes of a frame, whose first eight are its length.
  enum class Damage : uint8_t {
    kNone,
    kCut,      // The connection breaks off within the frame.
    kTooLong,  // The length says more than there is.
    kBits,     // Some are others.
  };
  // As the conditions have it.
  Damage MayDamage(std::string* frame);

  uint64_t sent() const { return sent_; }
  uint64_t lost() const { return lost_; }

 private:
  bool Chance(int in_thousand) {
    return in_thousand > 0 && random_.Below(1000) < static_cast<uint64_t>(in_thousand);
  }
  int64_t ArrivalTime(int from, int to, int channel, int64_t extra_delay, bool in_order);

  Scheduler& scheduler_;
  Random& random_;
  NetworkConditions conditions_;
  std::map<std::pair<int, int>, int> blocked_;
  std::map<std::tuple<int, int, int>, int64_t> last_arrival_;
  uint64_t sent_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace quorate::sim
