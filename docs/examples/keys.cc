// Keys and values: connect, write, read, delete. Usage: keys ENDPOINT...
#include <cstdlib>
#include <iostream>

#include "quorate/client/client.h"

namespace qc = quorate::client;

// [fail]
// Every call returns a value or an absl::Status with the server's code and text.
template <typename T>
T OrDie(qc::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << "\n";
  std::exit(1);
}
// [/fail]

int main(int argc, char** argv) {
  // [connect]
  const auto client = OrDie(qc::Client::Connect({.endpoints = {argv + 1, argv + argc}}));
  // [/connect]

  // [put]
  OrDie(client->kv().Put("fruit/apple", "red"));
  OrDie(client->kv().Put("fruit/plum", "blue"));
  const auto put = OrDie(client->kv().Put("fruit/apple", "green", {.prev_kv = true}));
  std::cout << "it was " << put.prev_kv().value() << "\n";
  // [/put]

  // [get]
  const auto one = OrDie(client->kv().Get("fruit/apple"));
  std::cout << "now it is " << one.kvs(0).value() << "\n";

  const auto all = OrDie(client->kv().Get(qc::Prefix("fruit/"), {.limit = 100, .keys_only = true}));
  for (const auto& kv : all.kvs()) std::cout << kv.key() << "\n";

  const auto before = OrDie(client->kv().Get("fruit/apple", {.revision = put.header().revision() - 1}));
  std::cout << "before it was " << before.kvs(0).value() << "\n";
  // [/get]

  // [async]
  // Futures, for several requests at a time.
  auto apple = client->kv().GetAsync("fruit/apple");
  auto plum = client->kv().GetAsync("fruit/plum");
  std::cout << OrDie(apple.get()).kvs(0).value() << " and " << OrDie(plum.get()).kvs(0).value() << "\n";
  // [/async]

  // [delete]
  const auto deleted = OrDie(client->kv().Delete(qc::Prefix("fruit/")));
  std::cout << deleted.deleted() << " deleted\n";
  // [/delete]
}
