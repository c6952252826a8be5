#include "sim/watcher.h"

#include <algorithm>
#include <string>
#include <utility>

#include "sim/front.h"

namespace quorate::sim {
namespace {

// How soon a client notices that its stream is dead (keep-alive pings).
constexpr int64_t kAliveInterval = 500 * kMillisecond;
constexpr size_t kUnreadMax = 4;

}  // namespace

Watcher::Watcher(World* world, const Endpoints* endpoints, WatcherOptions options)
    : world_(*world), endpoints_(*endpoints), options_(options), random_(options.seed) {
  wanted_.resize(static_cast<size_t>(std::max(1, options.watches)));
  for (Wanted& wanted : wanted_) Choose(&wanted);
}

void Watcher::Choose(Wanted* wanted) {
  const uint64_t dice = random_.Below(10);
  if (dice < 4) {
    wanted->key = "k";
    wanted->end = "l";
  } else if (dice < 6) {
    wanted->key = std::string(1, '\0');
    wanted->end = std::string(1, '\0');
  } else {
    wanted->key = "k0" + std::to_string(random_.Below(10));
    if (dice < 8) wanted->end = "k15";
  }
  wanted->previous = random_.Below(3) == 0;
  wanted->no_put = random_.Below(10) == 0;
  wanted->no_delete = random_.Below(10) == 0;
  wanted->next = random_.Below(3) == 0 ? 1 + static_cast<int64_t>(random_.Below(100)) : 0;
}

void Watcher::Start() {
  world_.scheduler->After(Mean(200 * kMillisecond), [this] { Open(); });
}

void Watcher::Open() {
  if (stream_ != nullptr) return;
  if (endpoints_.empty()) {
    world_.scheduler->After(kSecond, [this] { Open(); });
    return;
  }
  auto stream = std::make_shared<Stream>();
  stream_ = stream;
  stream->node = endpoints_[random_.Below(endpoints_.size())];
  stream->channel = next_channel_++;
  for (Wanted& wanted : wanted_) {
    WatchRecord record;
    record.id = world_.history->watches.size() + 1;
    record.resumes = wanted.record;
    record.client = options_.number;
    record.member = stream->node->index();
    record.key = wanted.key;
    record.end = wanted.end;
    record.start = wanted.next;
    record.previous = wanted.previous;
    record.no_put = wanted.no_put;
    record.no_delete = wanted.no_delete;
    record.asked = world_.now();
    wanted.record = record.id;
    stream->records.push_back(record.id);
    world_.trace->Note(actor(), "watches",
                       {{"watch", record.id},
                        {"of", record.member},
                        {"key", record.key},
                        {"end", record.end},
                        {"start", record.start}});
    world_.history->watches[record.id] = std::move(record);
  }
  world_.network->SendReliably(
      actor(), stream->node->index(), stream->channel, 0, [this, stream] { OpenAt(stream); },
      [this, stream] { Close(stream, false); });
  world_.scheduler->After(kAliveInterval, [this, stream] { CheckAlive(stream); });
  if (!settled_) {
    world_.scheduler->After(Mean(options_.stream_nanos), [this, stream] {
      if (!settled_) Close(stream, true);
    });
  }
  world_.scheduler->After(Mean(options_.progress_nanos), [this, stream] { AskProgress(stream); });
}

void Watcher::OpenAt(const std::shared_ptr<Stream>& stream) {
  Node* node = stream->node;
  if (stream->over || !node->up() || !node->member().ready() || node->quarantined()) return;
  node->Run([this, stream, node](server::Member& member) {
    if (stream->over) return;
    stream->life = node->life();
    const auto deliver = [this, stream, node](int64_t watch_id, const WatchAnswer& answer) {
      world_.network->SendReliably(
          node->index(), actor(), stream->channel, 0,
          [this, stream, watch_id, answer] { Receive(stream, watch_id, answer); },
          [this, stream] { Close(stream, false); });
    };
    auto session = std::make_unique<WatchSession>(&member, kUnreadMax, deliver);
    WatchSession* opened = session.get();
    stream->session = node->Keep(std::move(session));
    for (size_t i = 0; i < stream->records.size(); ++i) {
      const WatchRecord& record = world_.history->watches.at(stream->records[i]);
      // The ids of a stream rise from 0, so the client can tell which answer is for which.
      stream->wanted_of[static_cast<int64_t>(i)] = i;
      const auto id = opened->Create(record, i == 0);
      if (!id.ok() || *id != static_cast<int64_t>(i)) {
        world_.trace->Fail("watch-created", "watch " + std::to_string(record.id) + " got " +
                                                (id.ok() ? std::to_string(*id) : id.status().ToString()));
      }
    }
  });
}

// A dead member, or a cut line, ends the stream some time later.
void Watcher::CheckAlive(const std::shared_ptr<Stream>& stream) {
  if (stream->over) return;
  const bool cut = world_.network->blocked(actor(), stream->node->index()) ||
                   world_.network->blocked(stream->node->index(), actor());
  if (cut || !stream->created || !stream->node->Lives(stream->life)) return Close(stream, true);
  world_.scheduler->After(kAliveInterval, [this, stream] { CheckAlive(stream); });
}

void Watcher::AskProgress(const std::shared_ptr<Stream>& stream) {
  if (stream->over) return;
  world_.network->SendReliably(actor(), stream->node->index(), stream->channel, 0, [stream] {
    if (stream->over || !stream->node->Lives(stream->life)) return;
    stream->node->Run([stream](server::Member&) {
      if (auto* session = static_cast<WatchSession*>(stream->node->Find(stream->session)))
        session->RequestProgress();
    });
  });
  world_.scheduler->After(Mean(options_.progress_nanos), [this, stream] { AskProgress(stream); });
}

void Watcher::Receive(const std::shared_ptr<Stream>& stream, int64_t watch_id, WatchAnswer answer) {
  if (stream->over) return;
  stream->created = true;
  answer.at = world_.now();
  world_.trace->Note(actor(), "sees",
                     {{"watch", watch_id},
                      {"kind", static_cast<int>(answer.kind)},
                      {"revision", answer.header_revision},
                      {"events", answer.events.size()}});
  const bool events = answer.kind == WatchAnswer::Kind::kEvents;
  if (watch_id == mvcc::kInvalidWatchId) {
    for (size_t i = 0; i < stream->records.size(); ++i) Take(stream, i, answer);
  } else if (const auto it = stream->wanted_of.find(watch_id); it != stream->wanted_of.end()) {
    Take(stream, it->second, answer);
  }
  if (!events || stream->over) return;
  const int64_t reading = options_.slow && !settled_ ? Mean(300 * kMillisecond) : Mean(kMillisecond);
  world_.scheduler->After(reading, [this, stream] {
    if (stream->over) return;
    world_.network->SendReliably(actor(), stream->node->index(), stream->channel, 0, [stream] {
      if (stream->over || !stream->node->Lives(stream->life)) return;
      stream->node->Run([stream](server::Member&) {
        if (auto* session = static_cast<WatchSession*>(stream->node->Find(stream->session)))
          session->Consumed();
      });
    });
  });
}

void Watcher::Take(const std::shared_ptr<Stream>& stream, size_t position, const WatchAnswer& answer) {
  WatchRecord& record = world_.history->watches.at(stream->records[position]);
  Wanted& wanted = wanted_[position];
  record.answers.push_back(answer);
  switch (answer.kind) {
    case WatchAnswer::Kind::kCreated:
      if (wanted.next == 0) wanted.next = answer.header_revision + 1;
      break;
    case WatchAnswer::Kind::kEvents:
      wanted.next = std::max(wanted.next, answer.events.back().pair.mod + 1);
      break;
    case WatchAnswer::Kind::kProgress:
      wanted.next = std::max(wanted.next, answer.header_revision + 1);
      break;
    case WatchAnswer::Kind::kCompacted:
      // Told that the history is gone: a client reads anew and goes on from there.
      record.open = false;
      wanted.next = 0;
      wanted.record = 0;
      Close(stream, true);
      break;
  }
}

void Watcher::Close(const std::shared_ptr<Stream>& stream, bool tell) {
  if (std::exchange(stream->over, true)) return;
  for (const uint64_t record : stream->records) world_.history->watches.at(record).open = false;
  if (tell && stream->node->Lives(stream->life)) {
    stream->node->Run([stream](server::Member&) { stream->node->Forget(stream->session); });
  }
  if (stream_ == stream) stream_ = nullptr;
  world_.scheduler->After(Mean(100 * kMillisecond), [this] { Open(); });
}

}  // namespace quorate::sim
