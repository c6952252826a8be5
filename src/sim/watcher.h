// A client that watches: a stream with a few watches on one member; when it breaks, or for no reason, it goes
// on at another member with the revision after the last one that it has. Reads slowly now and then.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/env_sim.h"
#include "sim/client.h"
#include "sim/world.h"

namespace quorate::sim {

struct WatcherOptions {
  int number = 0;  // Counted together with the clients.
  uint64_t seed = 0;
  int watches = 2;
  bool slow = false;
  int64_t stream_nanos = 8 * kSecond;    // Mean; then it goes elsewhere.
  int64_t progress_nanos = 2 * kSecond;  // Mean, between two requests for progress.
};

class Watcher {
 public:
  Watcher(World* world, const Endpoints* endpoints, WatcherOptions options);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void Start();
  // From now on its streams stay where they are.
  void Settle() { settled_ = true; }
  // Whether a stream is open whose member lives.
  bool connected() const { return stream_ != nullptr && stream_->created; }

 private:
  struct Wanted {
    std::string key, end;
    int64_t next = 0;  // Where to go on; 0: from now.
    bool previous = false, no_put = false, no_delete = false;
    uint64_t record = 0;  // The last one made for it.
  };
  // One stream, alive on both sides or breaking.
  struct Stream {
    Node* node = nullptr;
    uint64_t life = 0;
    uint64_t session = 0;
    int channel = 0;
    bool created = false;
    bool over = false;
    std::map<int64_t, size_t> wanted_of;  // Watch id -> position in wanted_.
    std::vector<uint64_t> records;        // By position in wanted_.
  };

  void Choose(Wanted* wanted);
  void Open();
  void OpenAt(const std::shared_ptr<Stream>& stream);
  void Receive(const std::shared_ptr<Stream>& stream, int64_t watch_id, WatchAnswer answer);
  void Take(const std::shared_ptr<Stream>& stream, size_t position, const WatchAnswer& answer);
  void Close(const std::shared_ptr<Stream>& stream, bool tell);
  void CheckAlive(const std::shared_ptr<Stream>& stream);
  void AskProgress(const std::shared_ptr<Stream>& stream);
  int64_t Mean(int64_t nanos) {
    return static_cast<int64_t>(random_.Below(static_cast<uint64_t>(2 * nanos))) + 1;
  }
  int actor() const { return kFirstClient + options_.number; }

  World& world_;
  const Endpoints& endpoints_;
  const WatcherOptions options_;
  SeededRandom random_;
  std::vector<Wanted> wanted_;
  std::shared_ptr<Stream> stream_;
  int next_channel_ = 100;
  bool settled_ = false;
};

}  // namespace quorate::sim
