using System.Globalization;
using Quorumail.Server.Hosting;

namespace Quorumail.Server.Tests.Hosting;

public sealed class SchedulingPolicyTests
{
    [Fact]
    public async Task Threads_begun_after_it_do_not_interrupt_who_wakes_them()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the policy is Linux's");
        var policies = new TaskCompletionSource<(int Before, int Own, int Begun)>();
        var first = new Thread(() =>
        {
            var before = Current();
            SchedulingPolicy.LetWakersFinish();
            var own = Current();
            var second = new Thread(() => policies.SetResult((before, own, Current())));
            second.Start();
        });
        first.Start();
        var (before, own, begun) = await policies.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);

        // What somebody has chosen for the tests stays; usually nobody has.
        var expected = before == 0 ? 3 : before;
        Assert.Equal((expected, expected), (own, begun));
    }

    // proc_pid_stat(5): field 41, counted after the name, which may hold anything.
    private static int Current()
    {
        var stat = File.ReadAllText("/proc/thread-self/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[41 - 3], CultureInfo.InvariantCulture);
    }
}
