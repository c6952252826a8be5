#include "net/timer_heap.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <vector>

namespace quorate::net {
namespace {

TEST(TimerHeap, AgreesWithAnOrderedMap) {
  const char* env = std::getenv("QUORATE_TEST_SEED");
  const uint64_t seed = env != nullptr ? std::strtoull(env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr size_t kTimers = 200;
  struct Case {
    Timer timer;
    std::vector<size_t>* fired = nullptr;
    size_t index = 0;
  };
  std::vector<size_t> fired;
  std::vector<Case> cases(kTimers);
  for (size_t i = 0; i < kTimers; ++i) {
    cases[i].fired = &fired;
    cases[i].index = i;
    cases[i].timer.context = &cases[i];
    cases[i].timer.fire = [](void* context) {
      auto* c = static_cast<Case*>(context);
      c->fired->push_back(c->index);
    };
  }
  TimerHeap heap;
  std::map<size_t, int64_t> model;
  int64_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const size_t i = random() % kTimers;
    switch (random() % 8) {
      case 0:
        heap.Cancel(&cases[i].timer);
        model.erase(i);
        break;
      case 1: {
        now += static_cast<int64_t>(random() % 100);
        fired.clear();
        heap.FireDue(now);
        int64_t last = 0;
        for (const size_t f : fired) {
          ASSERT_TRUE(model.contains(f));
          ASSERT_LE(model[f], now);
          ASSERT_GE(model[f], last);
          last = model[f];
          model.erase(f);
        }
        for (const auto& entry : model) ASSERT_GT(entry.second, now);
        break;
      }
      default: {
        const int64_t when = now + static_cast<int64_t>(random() % 1000);
        heap.Set(&cases[i].timer, when);
        model[i] = when;
      }
    }
    int64_t next = INT64_MAX;
    for (const auto& entry : model) next = std::min(next, entry.second);
    ASSERT_EQ(next, heap.next());
  }
}

TEST(TimerHeap, ATimerThatSetsItselfInThePastDoesNotHoldTheLoop) {
  struct Context {
    TimerHeap heap;
    Timer timer;
    int fired = 0;
  } c;
  c.timer.context = &c;
  c.timer.fire = [](void* context) {
    auto* self = static_cast<Context*>(context);
    ++self->fired;
    self->heap.Set(&self->timer, 0);
  };
  c.heap.Set(&c.timer, 0);
  c.heap.FireDue(10);
  EXPECT_EQ(1, c.fired);
  EXPECT_FALSE(c.timer.idle());
}

}  // namespace
}  // namespace quorate::net
