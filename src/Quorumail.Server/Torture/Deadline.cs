using System.Diagnostics;

namespace Quorumail.Server.Torture;

/// <summary>Waiting for something that another process does, with a bound and a message that tells what was missing.</summary>
internal static class Deadline
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);

    /// <summary>Asks <paramref name="condition"/> again and again until it holds.</summary>
    /// <exception cref="TimeoutException">It did not within <paramref name="limit"/>; the message carries <paramref name="state"/>.</exception>
    public static async Task UntilAsync(
        Func<CancellationToken, ValueTask<bool>> condition,
        TimeSpan limit,
        Func<string> state,
        CancellationToken token)
    {
        var watch = Stopwatch.StartNew();
        while (!await condition(token))
        {
            if (watch.Elapsed > limit)
            {
                throw new TimeoutException($"Not within {limit.TotalSeconds:0.#} s: {state()}");
            }

            await Task.Delay(Step, token);
        }
    }

    /// <summary>As above, for a condition that needs no waiting of its own.</summary>
    public static Task UntilAsync(Func<bool> condition, TimeSpan limit, Func<string> state, CancellationToken token) =>
        UntilAsync(_ => ValueTask.FromResult(condition()), limit, state, token);
}
