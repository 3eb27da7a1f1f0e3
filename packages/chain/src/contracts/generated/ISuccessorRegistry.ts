// SPDX-License-Identifier: MIT
// Made by `npm run contracts` from ISuccessorRegistry.sol with solc 0.8.37+commit.f401782d.Emscripten.clang; do not edit.

/** contractSourcesHash() of scripts/compile-contracts.ts at the compilation. */
export const sourceHash = 'c2e14e5f0dae15036364ab3ac264d956229f1c179aee691d5fff428417133034';

export const abi = [
  {"inputs":[{"internalType":"uint32","name":"oldNodeId","type":"uint32"},{"internalType":"address","name":"operator","type":"address"},{"internalType":"bytes32","name":"ed25519","type":"bytes32"},{"internalType":"address","name":"votingKey","type":"address"},{"internalType":"uint16","name":"feeBps","type":"uint16"},{"components":[{"internalType":"address","name":"staker","type":"address"},{"internalType":"address","name":"beneficiary","type":"address"},{"internalType":"uint96","name":"amount","type":"uint96"}],"internalType":"struct IServiceNodeRegistry.Contribution[]","name":"contributions","type":"tuple[]"},{"internalType":"bytes","name":"data","type":"bytes"}],"name":"acceptMigration","outputs":[],"stateMutability":"nonpayable","type":"function"},
] as const;
