using Quorumail.Server.CommandLine;
using Quorumail.Server.Hosting;

// Socket callbacks run on the thread that polls, for an SMTP command takes microseconds and waking a thread of the pool
// takes tens of them (docs/decisions/threads.md). Read once, by the first socket.
Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");

// Before there are other threads, which inherit it.
SchedulingPolicy.LetWakersFinish();

return await SmtpServerCommand.InvokeAsync(args);
