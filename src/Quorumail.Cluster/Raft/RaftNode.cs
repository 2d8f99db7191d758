using System.Diagnostics.CodeAnalysis;
using System.Net;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;

namespace Quorumail.Cluster.Raft;

/// <summary>The engine with this node as its only member, which leads at once.</summary>
internal sealed class RaftNode : RaftCluster<RaftMember>
{
    private readonly RaftMember _self;
    private readonly ILogger _logger;

    [SetsRequiredMembers]
    public RaftNode(EndPoint self, RaftTrail trail, ILogger logger)
        : base(new Timers())
    {
        _self = new RaftMember(self, member => ReferenceEquals(Leader, member));
        _logger = logger;
        AuditTrail = trail;
    }

    /// <summary>Whether this node leads.</summary>
    public bool Leads => ReferenceEquals(Leader, _self);

    protected override ILogger Logger => _logger;

    public override async Task StartAsync(CancellationToken token = default)
    {
        ConfigurationChangeScope scope = await ChangeConfigurationAsync(token);
        scope.MarkAsAdded(_self);
        await scope.DisposeAsync();

        // A lone member is made leader without a vote, in the term that the disk holds. Without a term of its own, entries
        // of two lives would look alike.
        await AuditTrail.IncrementTermAsync(ClusterMemberId.FromEndPoint(_self.EndPoint), token);
        await base.StartAsync(token);
        StartFollowing();
    }

    private sealed class Timers : IClusterMemberConfiguration
    {
        public double HeartbeatThreshold => 0.5;

        public ElectionTimeout ElectionTimeout => new() { LowerValue = 1000, UpperValue = 2000 };

        public bool Standby => false;

        public bool IsLeaderLeaseEnabled => false;
    }
}
