// Watches: read what is there, then follow what changes, missing nothing. Usage: watch ENDPOINT...
#include <iostream>

#include "quorate/client/client.h"

namespace qc = quorate::client;

// [follow]
// Prints the next `count` changes of a prefix, from this revision on.
qc::Status Follow(qc::Client& client, int64_t revision, int count) {
  const auto watch = client.watches().Start(qc::Prefix("config/"), {.start_revision = revision});
  while (count > 0) {
    const auto response = watch->Next();
    if (!response.ok()) return response.status();
    for (const auto& event : response->events()) {
      const bool gone = event.type() == mvccpb::Event::DELETE;
      std::cout << event.kv().key() << (gone ? " is gone" : " becomes " + event.kv().value()) << "\n";
      --count;
    }
  }
  return absl::OkStatus();
}
// [/follow]

int main(int argc, char** argv) {
  const auto connected = qc::Client::Connect({.endpoints = {argv + 1, argv + argc}});
  if (!connected.ok()) return 1;
  qc::Client& client = **connected;
  if (!client.kv().Put("config/size", "small").ok()) return 1;

  // [handler]
  // With a handler, on the client's own thread. Destroying the watch ends it, and waits for a handler that
  // runs.
  const auto watch =
      client.watches().Start("config/size", {}, [&](const qc::StatusOr<qc::WatchResponse>& response) {
        if (!response.ok()) return;  // The end, and why.
        for (const auto& event : response->events()) {
          // Calls that wait are not allowed here; this one does not wait.
          client.kv().PutAsync("seen", event.kv().value(), {}, {}, [](const auto&) {});
        }
      });
  // [/handler]

  // [now]
  const auto now = client.kv().Get(qc::Prefix("config/"));
  if (!now.ok()) return 1;
  for (const auto& kv : now->kvs()) std::cout << kv.key() << " is " << kv.value() << "\n";
  // [/now]

  // What others might do meanwhile.
  if (!client.kv().Put("config/size", "large").ok()) return 1;
  if (!client.kv().Delete("config/size").ok()) return 1;
  if (!client.kv().Put("config/size", "medium").ok()) return 1;

  // [call]
  const qc::Status status = Follow(client, now->header().revision() + 1, 3);
  // [/call]
  return status.ok() ? 0 : 1;
}
