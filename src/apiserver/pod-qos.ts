export { podQosClass } from '../api/pod-qos.ts';
