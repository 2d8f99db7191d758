using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>One cluster for many tests, one after the other; one that a test has left in trouble is not used again.</summary>
internal sealed class SharedLab : IAsyncDisposable
{
    private ClusterLab? _lab;
    private bool _isInUse;
    private int _uses;

    /// <summary>A cluster that serves.</summary>
    public async Task<ClusterLab> TakeAsync(CancellationToken token)
    {
        if (_isInUse && _lab is not null)
        {
            await _lab.DisposeAsync();
            _lab = null;
        }

        _isInUse = true;
        return _lab ??= await ClusterLab.StartAsync(3, LabTimers.Guide, CrashPlan.Seed, token);
    }

    /// <summary>A name that no test before has used on this cluster.</summary>
    public string NewName() => string.Create(CultureInfo.InvariantCulture, $"s{CrashPlan.Seed}-{_uses++}");

    /// <summary>The cluster is well again.</summary>
    public void GiveBack() => _isInUse = false;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_lab is not null)
        {
            await _lab.DisposeAsync();
        }
    }
}
