namespace Quorumail.Core.Queue;

/// <summary>How the queued messages stand with copies and owners. All 0 when the queue stands alone.</summary>
/// <param name="TooFew">Messages with fewer copies on the disks of members than wanted, those on disks that are to be vacated not counted, and beside such a disk none that is down; those without any included.</param>
/// <param name="None">Messages without a copy on the disk of any member.</param>
/// <param name="WithoutOwner">Messages that wait because no holder of theirs is up.</param>
public readonly record struct CopyCounts(int TooFew, int None, int WithoutOwner);
