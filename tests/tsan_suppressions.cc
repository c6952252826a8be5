// What ThreadSanitizer shall not report in programs with the client library: linked into each of them where
// they are built for it. Debian's libraries are not: it sees what they do with memory by malloc, memcpy and
// system calls, but not the atomics and the locks of their own that order it. The server's list is tsan.supp.

// Found by the run time at the start, by its name.
extern "C" const char* __tsan_default_suppressions() {
  return
      // What these libraries do themselves, on either side. What we do is seen, also where they call us.
      "called_from_lib:libgrpc++.so\n"
      "called_from_lib:libgrpc.so\n"
      "called_from_lib:libgpr.so\n"
      "called_from_lib:libupb.so\n"
      "called_from_lib:libssl.so\n"
      "called_from_lib:libcrypto.so\n"
      "called_from_lib:libabsl_cord.so\n"
      "called_from_lib:libabsl_cord_internal.so\n"
      "called_from_lib:libabsl_graphcycles_internal.so\n"
      "called_from_lib:libabsl_status.so\n"
      "called_from_lib:libabsl_strings.so\n"
      "called_from_lib:libabsl_synchronization.so\n"
      "called_from_lib:libabsl_time.so\n"
      "called_from_lib:libabsl_time_zone.so\n"
      // A status is counted up by its header and down by its library: so its end is not seen to come last.
      "race:absl::*::Status::Unref\n"
      // gRPC's core through std::string, whose functions it takes from the program. It never calls us.
      "race:libgrpc.so\n"
      // The same of what gRPC C++ has in headers: a status that a thread of its own has left, and a server's
      // calls. Only tests have such a server.
      "race:grpc::internal::CallOpClientRecvStatus::FinishOp\n"
      "race:grpc::internal::CallbackBidiHandler\n"
      "race:grpc::Server::CallbackRequest\n"
      "race:quorate::client::FakeServer\n"
      // Those derived from it, where the stack of a thread before them is lost.
      "race:quorate::client::*Server::\n";
}
