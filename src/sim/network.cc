#include "sim/network.h"

#include <algorithm>

#include "base/endian.h"

namespace quorate::sim {

void Network::Block(int from, int to) { ++blocked_[{from, to}]; }

void Network::Unblock(int from, int to) {
  const auto it = blocked_.find({from, to});
  if (it != blocked_.end() && --it->second == 0) blocked_.erase(it);
}

int64_t Network::ArrivalTime(int from, int to, int channel, int64_t extra_delay, bool in_order) {
  const auto spread = static_cast<uint64_t>(std::max<int64_t>(conditions_.delay_spread, 1));
  int64_t delay = conditions_.delay_least + static_cast<int64_t>(random_.Below(spread)) + extra_delay;
  // Now and then one is very late.
  if (Chance(2)) delay += static_cast<int64_t>(random_.Below(30 * kMillisecond));
  int64_t& last = last_arrival_[{from, to, channel}];
  const int64_t arrival = scheduler_.now() + delay;
  if (!in_order) return arrival;
  last = std::max(last, arrival);
  return last;
}

void Network::Send(int from, int to, int channel, Task arrive, Task lost) {
  ++sent_;
  if (blocked(from, to)) {
    ++lost_;
    if (lost) lost();
    return;
  }
  if (Chance(conditions_.loss)) {
    ++lost_;
    return;
  }
  const int copies = Chance(conditions_.duplication) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    const bool in_order = copy == 0 && !Chance(conditions_.reordering);
    const int64_t extra =
        in_order ? 0 : static_cast<int64_t>(random_.Below(static_cast<uint64_t>(50 * kMillisecond)));
    scheduler_.At(ArrivalTime(from, to, channel, extra, in_order), [this, from, to, arrive] {
      if (blocked(from, to)) {
        ++lost_;
      } else {
        arrive();
      }
    });
  }
}

Network::Damage Network::MayDamage(std::string* frame) {
  constexpr size_t kLengthBytes = 8;
  if (frame->size() <= kLengthBytes || !Chance(conditions_.damage)) return Damage::kNone;
  const auto kind = static_cast<Damage>(1 + random_.Below(3));
  switch (kind) {
    case Damage::kCut:
      frame->resize(random_.Below(frame->size()));
      break;
    case Damage::kTooLong: {
      // By a little, or by so much that nobody should believe it.
      const uint64_t length = frame->size() - kLengthBytes + 1 + (random_.Next() >> random_.Below(64));
      StoreBig64(frame->data(), length);
      break;
    }
    case Damage::kBits:
      for (uint64_t i = 1 + random_.Below(4); i > 0; --i) {
        char& byte = (*frame)[random_.Below(frame->size())];
        byte = static_cast<char>(byte ^ 1 << random_.Below(8));
      }
      break;
    case Damage::kNone:
      break;
  }
  return kind;
}

void Network::SendReliably(int from, int to, int channel, int64_t extra_delay, Task arrive, Task broken) {
  ++sent_;
  scheduler_.At(ArrivalTime(from, to, channel, extra_delay, true),
                [this, from, to, arrive = std::move(arrive), broken = std::move(broken)] {
                  if (!blocked(from, to)) return arrive();
                  ++lost_;
                  if (broken) broken();
                });
}

}  // namespace quorate::sim
