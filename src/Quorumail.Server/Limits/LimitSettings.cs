using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.Limits;

/// <summary>The cluster's limits out of the configuration.</summary>
internal static class LimitSettings
{
    /// <summary>Those that are configured, by name.</summary>
    public static IReadOnlyList<LimitDefinition> Of(QuorumailOptions options)
    {
        var limits = options.Limits;
        List<LimitDefinition> all = [];
        Add(LimitNames.PerAddress, limits.MaxMessagesPerAddress);
        Add(LimitNames.PerUser, limits.MaxMessagesPerUser);
        Add(LimitNames.PerSenderDomain, limits.MaxMessagesPerSenderDomain);
        Add(LimitNames.PerRecipientDomain, limits.MaxMessagesPerRecipientDomain);
        return [.. all.OrderBy(limit => limit.Name, StringComparer.Ordinal)];

        void Add(string name, MessageRate rate)
        {
            if (!rate.IsNone)
            {
                all.Add(new LimitDefinition(name, LimitKind.Rate, rate.Count, (long)rate.Window.TotalMilliseconds, limits.Policy));
            }
        }
    }
}
