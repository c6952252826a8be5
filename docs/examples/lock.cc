// Sessions, locks and elections. Usage: lock ENDPOINT...
#include <iostream>

#include "quorate/client/election.h"
#include "quorate/client/mutex.h"

namespace qc = quorate::client;

int main(int argc, char** argv) {
  const auto client = qc::Client::Connect({.endpoints = {argv + 1, argv + argc}});
  if (!client.ok()) return 1;

  // [session]
  // A lease that is kept alive: what belongs to it is given up when the program ends, or dies.
  const auto session = qc::Session::Start(client->get(), {.ttl = std::chrono::seconds(10)});
  if (!session.ok()) return 1;
  const std::stop_callback lost((*session)->lost(), [] { std::cerr << "the session is lost\n"; });
  // [/session]

  // [lock]
  qc::Mutex mutex(session->get(), "locks/printer");
  if (!mutex.Lock({.timeout = std::chrono::seconds(30)}).ok()) return 1;
  std::cout << "locked\n";

  // The lock guards what is in the cluster only if the write checks that it is still ours.
  qc::Txn txn;
  txn.If({mutex.IsOwner()}).Then({qc::Op::Put("printer/page", "1")});
  const auto printed = (*client)->kv().Commit(txn);
  std::cout << (printed.ok() && printed->succeeded() ? "printed" : "not ours any more") << "\n";

  if (!mutex.Unlock().ok()) return 1;
  // [/lock]

  // [election]
  qc::Election election(session->get(), "leaders/printing");
  if (!election.Campaign("host-1").ok()) return 1;  // Waits until it leads.
  const auto leader = election.Leader();
  if (leader.ok()) std::cout << leader->value() << " leads\n";

  const auto observer = election.Observe();
  if (!election.Proclaim("host-1, second floor").ok()) return 1;
  while (true) {
    const auto news = observer->Next();
    if (!news.ok()) return 1;
    std::cout << "leader: " << news->value() << "\n";
    if (news->value() == "host-1, second floor") break;
  }
  if (!election.Resign().ok()) return 1;
  // [/election]
}
