using System.Collections.Concurrent;
using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>
/// Two clusters that know nothing of each other, for tests that mostly wait: time-outs, takeovers, nodes that start. What all cases of a
/// theory do begins with the first of them, two at a time, and each case reports what came of its own.
/// </summary>
public sealed class SharedLabs : IAsyncDisposable
{
    private const int Count = 2;

    private readonly SemaphoreSlim _isFree = new(Count);
    private readonly ConcurrentBag<SharedLab> _free = [.. Enumerable.Range(0, Count).Select(_ => new SharedLab())];
    private readonly Dictionary<(string Theory, Fault Case), Task<string>> _cases = [];

    /// <summary>Does something on a cluster that serves and that nobody else uses; skips the test where none can be.</summary>
    internal async Task<string> UseAsync(Func<ClusterLab, string, Task<string>> useAsync, CancellationToken token)
    {
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        await _isFree.WaitAsync(token);
        _free.TryTake(out var shared);
        try
        {
            var said = await useAsync(await shared!.TakeAsync(token), shared.NewName());
            shared.GiveBack();
            return said;
        }
        finally
        {
            _free.Add(shared!);
            _isFree.Release();
        }
    }

    /// <summary>What came of one case of a theory; the first that asks begins them all. Skips what can't be made here.</summary>
    /// <param name="theory">Its name.</param>
    /// <param name="cases">All its cases.</param>
    /// <param name="mine">The case that asks.</param>
    /// <param name="passAsync">What a case does on a cluster, with a name that nobody has used there.</param>
    /// <param name="token">Ends it.</param>
    internal Task<string> CaseAsync(string theory, IEnumerable<Fault> cases, Fault mine, Func<Fault, ClusterLab, string, Task<string>> passAsync, CancellationToken token)
    {
        if (mine.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        foreach (var each in cases.Where(each => each.Obstacle() is null))
        {
            if (!_cases.ContainsKey((theory, each)))
            {
                _cases[(theory, each)] = Task.Run(() => UseAsync((lab, name) => passAsync(each, lab, name), token), token);
            }
        }

        return _cases[(theory, mine)];
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // Cases that nobody waited for, since the run was ended early.
        await Task.WhenAll(_cases.Values).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        foreach (var lab in _free)
        {
            await lab.DisposeAsync();
        }

        _isFree.Dispose();
    }
}
