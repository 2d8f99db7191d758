using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Replication;

/// <summary>Disks of several nodes, whose bodies are copied over no network at all.</summary>
internal sealed class MemoryCluster : IAsyncDisposable
{
    private readonly List<Node> _nodes = [];

    public MemoryCluster(int count, int minCopies, TimeProvider? time = null)
    {
        Time = time ?? TimeProvider.System;
        Members = new QueueMembers(1, minCopies, 0, [.. Enumerable.Range(0, count).Select(i => new QueueNode(NameOf(i), 1, 1, IsDown: false, IsDraining: false))]);
        for (var i = 0; i < count; i++)
        {
            _nodes.Add(new Node(this, i));
        }
    }

    public TimeProvider Time { get; }

    public QueueMembers Members { get; set; }

    public IReadOnlyList<Node> Nodes => _nodes;

    /// <summary>Messages that have left the queue, on every node.</summary>
    public ConcurrentDictionary<QueueId, bool> Over { get; } = new();

    /// <summary>Messages in the queue, on every node.</summary>
    public ConcurrentDictionary<QueueId, bool> Queued { get; } = new();

    public static string NameOf(int index) => $"node{index + 1}";

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes)
        {
            await node.DisposeAsync();
        }
    }

    /// <summary>A node.</summary>
    internal sealed class Node : IPeers, IAsyncDisposable
    {
        private readonly TemporaryDirectory _directory = new();
        private readonly MemoryCluster _cluster;
        public Node(MemoryCluster cluster, int index)
        {
            _cluster = cluster;
            Self = new BodyHolder(NameOf(index), 1);
            Database = BodyStoreTests.Open(_directory);
            Replicas = new BodyReplicas(Database, this, () => cluster.Members, cluster.Time, NullLogger.Instance);
            Bodies = new BodyStore(Database, Replicas);
            Service = new BodyService(Database, () => 1, cluster.Queued.ContainsKey, cluster.Over.ContainsKey, cluster.Time, NullLogger.Instance);
            Service.Start(id =>
            {
                Abandoned.Enqueue(id);
                return ValueTask.CompletedTask;
            });
        }

        public BodyHolder Self { get; }

        public Database Database { get; }

        public BodyReplicas Replicas { get; }

        public BodyStore Bodies { get; }

        public BodyService Service { get; }

        /// <summary>Bodies that nobody has claimed.</summary>
        public ConcurrentQueue<QueueId> Abandoned { get; } = new();

        /// <summary>Whether others reach it.</summary>
        public bool IsDown { get; set; }

        /// <summary>Whether small bodies go with the log.</summary>
        public bool CarryBodies { get; set; }

        /// <summary>What others' questions wait for.</summary>
        public Task Gate { get; set; } = Task.CompletedTask;

        /// <summary>Questions that others have asked.</summary>
        public int Asked { get; private set; }

        public IReadOnlyList<ClusterPeer> Reachable =>
            [.. _cluster.Nodes.Where(node => node != this && !node.IsDown).Select(node => new ClusterPeer(node.Self.Node, (int)node.Self.Incarnation))];

        public async Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, ReadOnlyMemory<byte> question, CancellationToken token)
        {
            await Task.Yield();
            var asked = _cluster.Nodes.Single(node => string.Equals(node.Self.Node, nodeId, StringComparison.Ordinal));
            if (asked.IsDown)
            {
                throw new IOException("it is down");
            }

            asked.Asked++;
            await asked.Gate.WaitAsync(token);
            return await asked.Service.AnswerAsync(new ClusterPeer(Self.Node, (int)Self.Incarnation), question, token);
        }

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            await Database.DisposeAsync();
            _directory.Dispose();
        }
    }
}
