// All watches of a client. Loop thread.
#pragma once

#include <memory>

#include "client/watch_stream.h"

namespace quorate::client {

class WatchHub {
 public:
  explicit WatchHub(Core* core) : led_(core, true), any_(core, false) {}

  void Add(const std::shared_ptr<WatchState>& watch) {
    if (closed_) {
      // Unheard: a handler that starts the next watch when one ends would never let the client end.
      watch->handler = nullptr;
      return watch->End(closed_why_);
    }
    Of(*watch).Add(watch);
  }
  void Remove(const std::shared_ptr<WatchState>& watch) { Of(*watch).Remove(watch); }
  void Resume(const std::shared_ptr<WatchState>& watch) { Of(*watch).Resume(watch); }
  void RequestProgress() {
    led_.RequestProgress();
    any_.RequestProgress();
  }
  void Close(const Status& why) {
    closed_ = true;
    closed_why_ = why;
    led_.Close(why);
    any_.Close(why);
  }

 private:
  // What is sent once for a stream holds for all its watches, so there is one for each.
  WatchStream& Of(const WatchState& watch) { return watch.options.require_leader ? led_ : any_; }

  WatchStream led_;
  WatchStream any_;
  bool closed_ = false;
  Status closed_why_;
};

}  // namespace quorate::client
