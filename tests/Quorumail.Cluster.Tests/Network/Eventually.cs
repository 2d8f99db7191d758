using System.Diagnostics;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>Waits for what must come, and says what there was if it does not.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task TrueAsync(Func<bool> condition, Func<string> describe, TimeSpan? patience = null) =>
        await GetAsync(() => condition() ? string.Empty : null, describe, patience);

    public static async Task<T> GetAsync<T>(Func<T?> find, Func<string> describe, TimeSpan? patience = null)
        where T : class
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            if (find() is { } found)
            {
                return found;
            }

            if (Stopwatch.GetElapsedTime(start) > (patience ?? Patience))
            {
                Assert.Fail(describe());
            }

            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }
}
