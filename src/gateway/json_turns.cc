#include "gateway/json_turns.h"

#include <utility>

namespace quorate::gateway {

void JsonTurns::Add(std::weak_ptr<Body> body) {
  bodies_.push_back(std::move(body));
  Arm();
}

void JsonTurns::Arm() {
  if (bodies_.empty() || std::exchange(armed_, true)) return;
  loop_.Post([this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    armed_ = false;
    Turn();
    Arm();
  });
}

// One slice is for all of them: the next turn begins with who had none of this one.
void JsonTurns::Turn() {
  Slice slice;
  for (size_t n = bodies_.size(); n > 0 && !slice.over(); --n) {
    const std::weak_ptr<Body> weak = std::move(bodies_.front());
    bodies_.pop_front();
    const std::shared_ptr<Body> body = weak.lock();
    if (body == nullptr) continue;
    if (body->Work(slice)) bodies_.push_back(weak);
  }
}

}  // namespace quorate::gateway
