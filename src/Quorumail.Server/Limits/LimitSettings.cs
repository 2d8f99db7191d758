using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.Limits;

/// <summary>The cluster's limits out of the configuration.</summary>
internal static class LimitSettings
{
    /// <summary>
    /// How long a connection may be open without the log's consent, in milliseconds: as long as the connections of a node that is lost stay
    /// counted, and longer than an election.
    /// </summary>
    private const long Lease = 30_000;

    /// <summary>Those that are configured, by name.</summary>
    public static IReadOnlyList<LimitDefinition> Of(QuorumailOptions options)
    {
        var limits = options.Limits;
        List<LimitDefinition> all = [];
        Add(LimitNames.PerAddress, limits.MaxMessagesPerAddress);
        Add(LimitNames.PerUser, limits.MaxMessagesPerUser);
        Add(LimitNames.PerSenderDomain, limits.MaxMessagesPerSenderDomain);
        Add(LimitNames.PerRecipientDomain, limits.MaxMessagesPerRecipientDomain);
        Add(LimitNames.DeliveriesPerDestination, limits.MaxDeliveriesPerDestination);
        AddConnections(LimitNames.ConnectionsPerDestination, limits.MaxConnectionsPerDestination);
        foreach (var route in options.Routes.DistinctBy(route => route.Match, StringComparer.OrdinalIgnoreCase))
        {
            Add(LimitNames.OfRoute(LimitNames.DeliveriesPerDestination, route.Match), route.MaxDeliveries);
            AddConnections(LimitNames.OfRoute(LimitNames.ConnectionsPerDestination, route.Match), route.MaxConnections);
        }

        return [.. all.OrderBy(limit => limit.Name, StringComparer.Ordinal)];

        void AddConnections(string name, int count)
        {
            if (count > 0)
            {
                all.Add(new LimitDefinition(name, LimitKind.Concurrency, count, Lease, limits.Policy));
            }
        }

        void Add(string name, MessageRate rate)
        {
            if (!rate.IsNone)
            {
                all.Add(new LimitDefinition(name, LimitKind.Rate, rate.Count, (long)rate.Window.TotalMilliseconds, limits.Policy));
            }
        }
    }
}
