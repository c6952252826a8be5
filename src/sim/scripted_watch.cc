#include "sim/scripted_watch.h"

#include <memory>
#include <utility>

#include "sim/front.h"

namespace quorate::sim {

uint64_t OpenWatch(Simulation& simulation, Node& node, WatchRecord record) {
  History& history = simulation.history();
  const uint64_t id = history.watches.size() + 1;
  record.id = id;
  record.member = node.index();
  record.asked = simulation.world().now();
  history.watches[id] = std::move(record);
  node.Run([&](server::Member& member) {
    auto session = std::make_unique<WatchSession>(
        &member, SIZE_MAX, [&simulation, id](int64_t, const WatchAnswer& answer) {
          WatchAnswer seen = answer;
          seen.at = simulation.world().now();
          WatchRecord& watch = simulation.history().watches.at(id);
          watch.open = watch.open && seen.kind != WatchAnswer::Kind::kCompacted;
          watch.answers.push_back(std::move(seen));
        });
    WatchSession* opened = session.get();
    node.Keep(std::move(session));
    const auto watch = opened->Create(history.watches.at(id), true);
    if (!watch.ok()) simulation.trace().Fail("watch-created", watch.status().ToString());
  });
  return id;
}

}  // namespace quorate::sim
