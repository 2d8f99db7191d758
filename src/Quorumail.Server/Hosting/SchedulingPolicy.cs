using System.Runtime.InteropServices;

namespace Quorumail.Server.Hosting;

/// <summary>
/// How the kernel schedules this process. A message wakes a dozen threads one after the other. By default a thread that is woken takes the
/// processor from the one that woke it, finds the lock still taken that that one holds, and sleeps again. With the policy for batch work it
/// waits until the waker is done (sched(7); docs/decisions/threads.md).
/// </summary>
internal static partial class SchedulingPolicy
{
    private const int Other = 0;
    private const int Batch = 3;

    /// <summary>
    /// Lets no thread of this process that is woken interrupt another one: those that are begun from now on by the caller's and its descendants. Where the operator has
    /// chosen a policy, or the system allows none, everything stays as it is: it works all the same.
    /// </summary>
    public static void LetWakersFinish()
    {
        if (OperatingSystem.IsLinux() && pthread_getschedparam(pthread_self(), out var policy, out var priority) == 0 && policy == Other)
        {
            // Not by sched_setscheduler: the C library remembers a thread's policy, and gives its own memory of it to new threads.
            _ = pthread_setschedparam(pthread_self(), Batch, in priority);
        }
    }

#pragma warning disable IDE1006, SA1300 // The system's names. A sched_param is a number, which batch work has no use for.
    [LibraryImport("libc")]
    private static partial nint pthread_self();

    [LibraryImport("libc")]
    private static partial int pthread_getschedparam(nint thread, out int policy, out int priority);

    [LibraryImport("libc")]
    private static partial int pthread_setschedparam(nint thread, int policy, in int priority);
#pragma warning restore IDE1006, SA1300
}
