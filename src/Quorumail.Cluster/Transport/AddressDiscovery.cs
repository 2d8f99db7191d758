using Microsoft.Extensions.Logging;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// Asks DNS at intervals who the nodes are (<c>enable_auto_discovery</c>). What is found is dialled besides the listed
/// peers; who is at an address, perhaps oneself, the handshake tells. While nothing can be found, what was found last
/// stays: a name server's trouble must not take a cluster apart.
/// </summary>
internal sealed partial class AddressDiscovery(DiscoveryOptions options, IReadOnlyCollection<string> listed, TimeProvider time, ILogger log)
{
    private readonly RareLog _rarely = new(time, TimeSpan.FromMinutes(5));
    private HashSet<string> _found = [];

    /// <summary>Asks until told to stop.</summary>
    /// <param name="dial">Told all addresses whenever they have changed, and at the start.</param>
    /// <param name="token">Ends it.</param>
    public async Task RunAsync(Action<IReadOnlyCollection<string>> dial, CancellationToken token)
    {
        dial(listed);
        while (!token.IsCancellationRequested)
        {
            try
            {
                var found = await FindAsync(token);
                if (found.Count > 0 && !found.SetEquals(_found))
                {
                    _found = found;
                    LogFound(log, options.Name, string.Join(", ", found.Order(StringComparer.Ordinal)));
                    dial([.. listed.Union(found, StringComparer.Ordinal)]);
                }

                await Task.Delay(options.Interval, time, token);
            }
            catch (OperationCanceledException) when (token.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private async Task<HashSet<string>> FindAsync(CancellationToken token)
    {
        using var limit = new CancellationTokenSource(options.Timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            IEnumerable<PeerAddress> found = options.Name.StartsWith('_')
                ? await options.ResolveService(options.Name, both.Token)
                : (await options.Resolve(options.Name, both.Token)).Select(address => new PeerAddress(address.ToString(), options.Port));
            var addresses = found.Select(address => address.ToString()).ToHashSet(StringComparer.Ordinal);
            if (addresses.Count > 0)
            {
                _rarely.Forget(options.Name);
            }
            else if (_rarely.IsDue("discovery", options.Name))
            {
                LogNothing(log, options.Name, "it names no address");
            }

            return addresses;
        }
        catch (Exception failure) when (!token.IsCancellationRequested)
        {
            if (_rarely.IsDue("discovery", options.Name))
            {
                LogNothing(log, options.Name, failure is OperationCanceledException ? "no answer" : failure.Message.TrimEnd('.'));
            }

            return [];
        }
    }

    [LoggerMessage(LogLevel.Information, "discovery: {Name} names {Addresses}")]
    private static partial void LogFound(ILogger log, string name, string addresses);

    [LoggerMessage(LogLevel.Information, "discovery: {Name} finds no node yet, and is asked again: {Reason}")]
    private static partial void LogNothing(ILogger log, string name, string reason);
}
